"""Ways of saying things that the reader would otherwise have to know one by one, put into the words that it knows.

In: tokens of a command. Out: the same with each phrase of the table replaced: "which toy is the biggest" → "what is the
biggest toy", "one of the snacks" → "a snack" (rules.py). Knows no world and no skill.
"""

from __future__ import annotations

from llm_ros.planner.idioms import idiomatic
from llm_ros.planner.rules import DURATION, NP, THE, compiled, replaced
from llm_ros.planner.tokens import Token

_OF = r"(?:one )?(?:of )?(?:the |these |those )?"
_SUPERLATIVE = r"(?:the )?((?:[a-z]{2,}est|most [a-z]+|least [a-z]+)) (?:one |of all |of them |of the lot )?"
_THEY = r"(?:they|he|she|it|you|we)"
_STATES = (
    r"(?:there (?:is|are|was)|it (?:is|was|has)|i (?:am|have|need)|(?:we|they) (?:are|have|need)|(?:he|she) (?:is|has)|"
    r"somebody|someone)"
)
_BOUND = r"where|if|that|whether|when|while|because|as|and|or|until|till|who|what|since|once|before|after|,|\.|;|:"
_CURIOUS = r"(?:would like|wants|needs|is keen|is curious|is waiting|is dying|is wondering)"
_PAST = (
    "went|came|popped|brought|took|told|gave|found|asked|said|showed|walked|got|fetched|followed|guided|checked|looked|"
    "counted|let|handed|put|opened|closed|greeted|answered|led|carried|moved|welcomed|accompanied|waited|picked|"
    "delivered|escorted|shut|placed|returned|wished"
)

_RULES = compiled(
    (
        (r"^for (?:the help|your help|helping|everything|coming|that)[^.;!?,]*[,.;!] (?:now |so )?(?=[^ ])",
         ""),  # thanks have gone already
        # "of all the snacks on the tray, which one is the heaviest" → what is the heaviest snacks on the tray
        (rf"(?:of|among|out of) (?:all )?(?:the |these |those )?({NP}), (?:which|what) (?:would you say )?(?:one )?"
         rf"(?:of them )?is {_SUPERLATIVE}",
         r"what is the \2 \1"),
        (rf"(?:what|which) {_OF}({NP})weighs (?:the )?most ", r"what is the heaviest \1"),
        (rf"(?:what|which) {_OF}({NP})weighs (?:the )?least ", r"what is the lightest \1"),
        (rf"(?:of|among|out of) (?:all )?(?:the |these |those )?({NP}), (?:i want (?:you )?to (?:hear|know|tell me)|"
         rf"tell me|let me know|please tell me|i would like to know) (?:from you )?(?:which|what) (?:one )?"
         rf"(?:of them )?is {_SUPERLATIVE}", r"tell me what is the \2 \1"),
        (rf"(?:look at|check|inspect|examine|go over) (?:all )?(?:the |these )({NP})and (?:please |then )*"
         rf"(?:tell me|let me know|say|report) which (?:one )?(?:of them )?is {_SUPERLATIVE}",
         r"tell me what is the \2 \1"),
        (rf"which {_OF}({NP})(?:is|are) {_SUPERLATIVE}", r"what is the \2 \1"),
        (rf"how many ({NP})(?:does|do) ((?:the|a) {NP})(?:hold|have|contain|carry) ", r"how many \1 are at \2"),
        (r"what is the (?:total |exact )?(?:number|amount|count) of ", "how many "),
        (r"(?:i need|i want|i would like|give me|get me) (?:a|the) count of ", "tell me how many "),
        (r"what is the ([a-z]+) count (?=(?:on|in|at|of) )", r"how many \1 are "),
        (r"(?<![a-z] )(?:name|identify) (?=the (?:[a-z]{2,}est|most|least) )", "tell me what is "),
        # what is looked for, and whether or where it is
        (rf"(?:look|search|check) (?:for )?({THE}{NP})((?:in|on|at|inside) the {NP})and (?:tell me|let me know|say) "
         r"(?:whether|if) (?:it|they|he|she) (?:is|are) (?:still )?there ", r"tell me whether \1 is \2"),
        (rf"(?:look|search) (?:around|through|about) (the {NP})for (?={THE}{NP}and (?:tell me|let me know) where )",
         r"go to \1 , find "),
        (rf"(?:check|inspect|look at|go to) (the {NP})and (?:tell me|let me know|see|find out) (?:whether|if) "
         rf"(?:we have|you see|there is|you can see|we have got|they have) (?:got )?((?:a|an|any|some) {NP})"
         r"(?:there|on it|in it) ", r"tell me whether there is \2 at \1"),
        (r"(?:proceed|position yourself|place yourself|station yourself) (?:over )?(?:to|in|at|on|by) (?=the )",
         r"go to "),
        # what comes first is said last
        (r"(?<![^.!?;] )((?:please )?(?:(?!if |unless |after |before |when |[.?!;,] )[^ ]+ )+)[,;] "
         r"but (?:before (?:you )?(?:do )?(?:that|so|go there|you go|go)|first(?: of all)?) (?:, )?"
         r"((?:[^ .,?!;]+ )+)(?=[.?!] |$)", r"\2 , then \1"),
        (r"(?:(?:i want|i need|i would like) you|you are (?:needed|wanted)) (?:over )?(?:at|in|by) (?=the )", "go to "),
        (rf"(?:after|once|when) you have (?:got |had )?(the {NP})(?:closed|shut) (?:, )?", r"close \1 , then "),
        (rf"(?:after|once|when) you have (?:got |had )?(the {NP})open(?:ed)? (?:, )?", r"open \1 , then "),
        (r"thank (?!you )((?:[^ .,;]+ ){1,12}?)(?=and |then |for |from |[.,;!])", r"tell \1 thank you "),
        (rf"(?:find|look for|search for) ({THE}{NP})and (?:tell me|let me know) where (?:it|they) (?:is|are) ",
         r"tell me where \1 is "),
        (rf"(?:see to it|make sure|ensure|take care) (?:that )?(the {NP})(?:is|gets) (opened|closed|shut) "
         r"(?=[.,;!?]|$)", r"^2 \1"),
        (rf"did (?:someone|somebody|anyone|anybody|i|we|you) (?:leave|forget) ({THE}{NP})(open|shut|closed) ",
         r"is \1 \2 "),
        (rf"(?:keep|leave) (the {NP})(open|closed|shut) (?=[,.;!?] |and |then |please |$)",
         r"make sure that \1 is \2 "),
        (rf"((?:go|drive|head|walk|move|travel|roll) (?:over )?(?:to|into) {NP})and (?:then )?(?:straight |right )?"
         r"back (?:again |here )?(?=[,.;!?] |and |then |$)", r"\1 and come back "),
        (r"invite ((?:[^ .,;]+ ){1,4}?)to (?=(?:the|our|my|a|an) )", r"tell \1 to come to "),
        (rf"(?:get|have|pull|push) (the {NP})open (?=[,.;!?] |and |then |$)", r"open \1"),
        (rf"(?:get|have|pull|push) (the {NP})(?:closed|shut) (?=[,.;!?] |and |then |please |$)", r"close \1"),
        (rf"((?:belongs|goes|should be|ought to be) (?:in|on|at) the {NP})(?:[,;.] |and |so )(?:so |and )?(please )?"
         r"(?:put|take|bring|return) (it|them) back ", r"\1 , \2 put \3 there "),
        (rf"(?:do )?you see ({THE}{NP})[?] i (?:would like|want|need) (?:to have )?(?:it|them|that) ",
         r"bring me \1 "),
        # "I am heading for the library now, come along behind me"
        (rf"i am (?:heading|going|walking|off|on my way|moving) (?:for|to|over to|towards) (the {NP})(?:now |next )?"
         r"(?:, |[.] |; |and |so )(?:please |so |just )?(?:come along|come|follow|stay|keep|walk|go)"
         r"(?: close| along| right)?(?: behind| after)? me ", r"follow me to \1"),
        # "why is there a bucket on the bar?" tells where it is
        (rf"(?:why (?:is|are) there|who(?: on earth)? (?:left|put)|what is) (an? {NP})(?:doing )?"
         rf"((?:in|on|at) the {NP})[?] (?=(?:it|they) (?:should|belongs?|goes|ought) )", r"there is \1 \2 ."),
        (r"(so |and |, )(?:please )?(?:tidy|put|clear) (it|them) away ", r"\1 put \2 there "),
        (r"(?:, )?as (?:fast|quickly|quick|soon|carefully|quietly|gently) as (?:you can|possible|you could) ", ""),
        (r"(?:, )?but only (?:after|once|when) (?=you |having )", " after "),
        (r"(?:, )?(?:and )?then ((?:(?!wait |after )[^ .,;!?]+ )+?)(?:again )?after ((?:a|an|one|two|three|four|five|"
         r"ten|twenty|thirty|half a|\d+) (?:seconds?|minutes?|hours?|moment|while) (?:and a half )?)(?=[.!?,;]|and |$)",
         r", then wait for \2 , then \1"),
        (r"let (?!me |us |it )((?:[^ .,;]+ ){1,9}?)know (?=that |about |how |when |what |which |where |whether )",
         r"tell \1 "),
        (r"hear from you (?=(?:how|what|whether|if|which|where|who|in which) )", r"know "),
        (r"fill (him|her|them|me) in (?=[,.;!?] |and |$)", r"tell \1 "),
        (r"(it|they|them) (?:has |have )?(?:turned up|ended up|wound up|shown up) (?=(?:on|in|at|under|near|by) )",
         r"\1 is "),
        (r"the next (second|minute|hour) ", r"a \1 "),
        (r"for (?:the next )?((?:[^ .,;]+ )+?(?:and a half )?)(?:, )?(?:please |i (?:want|would like|need) you to )"
         rf"(wait|stay|stand by|remain) ((?:in|on|at|by|near) the {NP})", r"\2 \3 for \1"),
        (r"answer (?:whatever|anything|everything) (?:they|he|she) (?:may )?(?:asks?|wants? to know)(?: you)? ",
         r"answer their question "),
        # one of several is any of them
        (r"(?:any )?one of (?:the|these|those|my|our|your) ", "a "),
        (rf"(?:until|till) {_THEY} (?:reach(?:es)?|gets? to|arrives? (?:at|in)|comes? to|(?:are|is) (?:in|at)) ",
         "to "),
        (rf"(?:as|while|when) {_THEY} (?:walk|go|head|move|run|drive|wander|make (?:their|his|her) way)s? "
         r"(?=to |into |towards |from |over |through )", ""),
        (r"by (?:taking|leading|guiding|bringing|walking|escorting) (?:them|him|her|me|us) (?:there|over there|over) ",
         ""),
        (r"(?:somewhere|someplace) (?=in |on |at |near |inside )", ""),
        (r"((?:ask|find out|learn|check) (?:[^ ]+ )*?)(?:pass|relay) (?:it|that|this) (?:on |along |over )?(?=to )",
         r"\1 tell it"),
        (r"(find|get|grab|fetch|take|pick up) yourself (?=a |an |the |some )", r"\1 "),
        # sentences without a mark between them
        (rf"((?!(?:{_BOUND}) )[^ ]+ )(she|he|they) (is|are) (?=(?:in|on|at|by|near|inside|outside) )", r"\1 . \2 \3 "),
        (r"(?:what|which) (?:kind|sort|type) of (?=gesture|pose|posture)", "what "),
        (rf"let ((?:the |a )?[^.,;]+?)have ({THE}{NP})(?:out of|from|off) (the {NP})(?=[.,;!?]|and |then |$)",
         r"give \2 from \3 to \1"),
        (rf"let ((?:the |a )?[^.,;]+?)have ({THE}{NP})"
         r"(?=[.,;!?]|and |then |$)", r"give \2 to \1"),
        (r"(?:do|does) not (?:yet )?know (?:yet )?(?=that )", "needs to know "),
        (r"there is ((?:someone|somebody|an? [a-z]+) (?:[^ .,;]+ )*?)whose question "
         r"(?:you should|you must|you are to|needs to be) answer(?:ed)? ", r"answer the question of \1"),
        (r", where (?:it|they) (?:belongs?|lives?|(?:is|are) (?:kept|needed)) (?:, )?"
         r"(?=[.;!?]|and |but |then |please |$)", ""),
        (r", where (?:(?:you|we) (?:will|can|should|may) (?:find|see) (?:it|them)|it is|they are) , ", ""),
        (r"find out from ((?:the )?(?:[a-z]+ ){1,2}?)(?=(?:what|how|which|when|where|why|who|if|whether) )", r"ask \1"),
        (r"((?:the )?[a-z]+ (?:(?:in|at|on) the (?:[a-z]+ ){1,3}?)?)"
         r"should (?:then |also |afterwards )?be told (?!so |it |this )",
         r"then tell \1"),
        (r"([a-z]+) , (?:who|whom) (?:you (?:will|can) find|is|can be found) "
         r"((?:in|at|on) (?:the )?(?:[a-z]+ ){1,3}?), "
         r"(?:has|needs|ought|is) to be (followed|guided|greeted|led|taken|brought|escorted) ", r"^3 \1 \2"),
        # "it would be lovely if you went and said hello"
        (rf"if you ({_PAST}) and ({_PAST}) ", r"if you could ^1 and ^2 "),
        (rf"if you ({_PAST}) ", r"if you could ^1 "),
        (r"(?:it )?(?:looks|seems|appears) (?:to me )?(?:as if|as though|like|that) (?=there |the |[a-z]+ people )",
         ""),
        # what is to wait
        (rf"^([^.;:?!]+), but not (?:straight away|right away|immediately|at once|just yet|yet) [:;.,] (?:please )?"
         rf"(?:hold on|wait|hang on|pause) (?:for )?{DURATION}before you (?:bring|take|fetch|get|give|do|hand|go) "
         r"[^.;?!]*", r"wait for \2 , then \1"),
        (rf"^([^.;:?!]+), but (?:only|not until) after (?:waiting|a wait of|pausing) (?:for )?{DURATION}(?=[.!]|$)",
         r"wait for \2 , then \1"),
        (rf"(?:do not|never) (?:move|leave|budge|stir|go away) (?:from )?(?:(?:there|it|here|that|the|this) )?"
         rf"(?:(?:room|spot|place) )?for (?={DURATION})", "wait for "),
        # when a wait is over; as far as somebody goes
        (r"(?:, )?(?:when|once|after) (?:the|that|your|this) (?:time|minutes?|seconds?|wait|pause) "
         r"(?:is|are|has|have) (?:up|over|passed|gone by|elapsed) (?:, )?", ", then "),
        (r"((?:follow|behind|after) [^.,;!?]+?)(?:until|till) (?:they|he|she|you) (?:get|gets|are|is|arrive|arrives) "
         r"(?:over |up |down )?there ", r"\1 there "),
        (r"(?:set(?:ting)? off (?:from )?|leaving )(the (?:[a-z]+ ){1,3}?)for (?=the )", r"walking from \1 to "),
        (r"go after (him|her|them) ", r"follow \1 "),
        (r"(?:stay|keep|stick|remain|be) (?:right |close )?(?:on|at) (?:his|her|their) (?:heels|tail|side) ",
         "follow them "),
        (r"(?:when|while|as) ((?:the |a )?(?:[^ .,;]+ ){1,8}?)(?:walks|goes|heads|moves|sets off|leaves) "
         r"((?:from|to) [^,.;?!]+), (?:please |i (?:would like|want|need) you to )?(?:follow|accompany|stay with|"
         r"(?:keep|stay|walk|remain) (?:right |close )?behind) (?:him|her|them) ", r"follow \1 \2"),
        (r"and (?:wishes|wants|would like|needs|has) to (?:leave|go|get going|be off) (?:now )?(?=[,.;])", ""),
        # people who have come, and what they are there for
        (r"(is|are|has|have) (?:just |only just |now )?(?:arrived|checked in|turned up|come in|sat down|settled down|"
         r"shown up) (?=(?:at|in|on) )", "is "),
        (r"(is|are|has|have) (?:just |only just |now )?(?:come|walked|gone) (?:up |over |down )?to ", "is at "),
        (r"(?:would (?:love|like)|wants|hopes|longs) to see (?=the (?:[a-z]+ ){1,3}?[.,;!?])", "wants to go to "),
        (r"(?<=[.,;] )(?:he|she|they) (?:needs|need|has|have|wants|want|ought) to be "
         r"(taken|guided|led|brought|escorted|walked|shown|accompanied) (?:over |up |down )?to ", r"^1 them to "),
        (r"(?:and )?(?:, )?(?:once|when|after) (?:he|she|they|you both|you two|you) (?:is|are) (?:both )?there , "
         r"(told|given|asked) ", r"and ^1 them "),
        (rf"({THE}{NP})(is|are) in ((?:the|a) (?:[a-z]+ ){{1,3}}?), (?:which|but) (?:you|it) (?:will )?"
         r"(?:have|need|has|needs) to (?:be )?open(?:ed)? first ", r"open \3 . \1 \2 in \3 "),
        # who wants to know something, which is looked at first
        (rf"{_CURIOUS} to (?:know|hear|find out) ((?:what|how many|which|whether|if) [^.;!?]+?)(?:, |; |\. )"
         r"(?:so |please |could you |can you |would you |go |and )*"
         r"(?:have a look|take a look|look|check|count them|count|find out|see)(?: there| (?:at )?it| up| over there)? "
         r"(?:, )?(?:and |then )+(?:please )?(?:tell|inform|let|fill) "
         r"(?:him|her|them) (?:know |in )?", r"wants to know \1 "),
        (rf"(?<![a-z] )((?!i |we |you |they |he |she |who )[a-z]+) (?:is )?"
         rf"((?:at|in|on|by|near) the (?:[a-z]+ ){{1,3}}?)(?:and )?(?:he |she |they )?"
         rf"{_CURIOUS} to (?:know|hear|find out) "
         r"(?=(?:what is|what are|how many|which|whether there|if there) )", r"tell \1 \2"),
        (rf"(?<![a-z] )((?!i |we |you |they |he |she |who )[a-z]+) {_CURIOUS} to (?:know|hear|find out) "
         r"(?=(?:what is|what are|how many|which|whether there|if there) )", r"tell \1 "),
        # what is told or looked at
        (r"(?:entertain|amuse|cheer up|cheer) ((?:[^ .,;]+ ){1,8}?)(?:up )?with "
         r"(a (?:[a-z]+ )?(?:joke|story|riddle|poem)) ", r"tell \1 \2 "),
        (r"(?:pass|give|report|hand|relay) (?:the|that) (?:figure|number|total|tally|count|sum) (?:on |over |along )?"
         r"(?=to )", "tell the result "),
        (r"apologi[sz]e to ((?:[^ .,;]+ ){1,14}?)(?=for |about |because |that )", r"tell \1 that i am sorry "),
        (r"describe (?:to (?:me|us) )?(?=the (?:pose|posture|gesture) of )", "tell me "),
        (r"(?:see|find out|check|look at) (what [^.;]+?)(?:, |and )(?:then |and )?(?:describe|tell|report) "
         r"(?:it|them|that) to me ", r"tell me \1 "),
        (r"(needs to know (?:that )?[^.;!?]+)[;.,] (?:so |please |do |and )*tell (?:him|her|them) (?:so|that) ",
         r"\1 "),
        (r"^((?:in|at|on|by|near) the (?:[a-z]+ ){1,3}?)is (someone|somebody) ", r"there is \2 \1 "),
        (r"(?:keep|stay|walk|stick|remain) (?:right |close |closely |just |directly )?behind (him|her|them) ",
         r"follow \1 "),
        (r"i am (?:just |now )?(?:off|headed|on my way|about to go) (?:over |up |down )?to ", "i am going to "),
        (r"is (?:on (?:their|his|her) way|walking|going|heading|off) to (the (?:[a-z]+ ){1,3}?)([;.,]) "
         r"(?:and |so )?((?:please )?follow (?:him|her|them)) there ", r"is walking \2 \3 to \1"),
        (r"i am going to (the (?:[a-z]+ ){1,3}?)(?:now )?(?:, |; )?(?:and |so )?(?:i (?:would like|want|need) you to |"
         r"please |could you |can you )+(?:follow|come(?: along)? with|accompany|join) me (?:there |along )?",
         r"follow me to \1"),
        (r"(?:pop|nip|run|drop) (?:over|by|across|round|up|down)(?: there)? and (?=tell |let |say |ask |give )", ""),
        (rf"clear ({THE}{NP})(?:off|from|out of) (the (?:[a-z]+ ){{1,3}}?)and ", r"take \1 from \2 and "),
        # one thing and then another
        (r"(?:, )?one after (?:the other|another) (?=[:;,.])", ""),
        (r"and after (?:it|that|them|this) (?=the |a |an |some )", "and then "),
        (r"i would (?:be (?:happier|happy|glad|pleased)|prefer it|like it(?: better)?|feel better) if (it|they) "
         r"(?:was|were) (?=(?:on|in|at|under|by|back) )", r"\1 should be "),
        (r"((?:and |then )+)return to (me|us) (?=[.,;!?]|afterwards |$)", r"\1 come back to \2 "),
        # reasons, asides
        (r"(?:, )?of all (?:places|things) (?:, )?(?=[.;]|and |but )", ""),
        (r"(?:because|since|as) there is something (?:they|he|she) (?:want|wants|would like|need|needs) to "
         r"(?:know|ask)(?: you)? ", "and has a question "),
        (r"(?:, )?waiting to hear (?=that )", "and needs to know "),
        (r"its (?=(?:on|in|at|under|near|by|behind|probably|still|somewhere) )", "it is "),
        (r"(?:, )?(?:there is )?no (?:hurry|rush|need to hurry)(?: at all| though)? (?=[.!?]|$)", ""),
        (rf", not {THE}{NP}(?:, |(?=[.!?]|$))", ""),
        (r"(?<![^.!?;] )((?:[^ .;!?]+ )+), but ([^.,;!?]+) first (?=[.!?]|$)", r"\2 . \1 "),
        (r"(?<![^.!?;] )((?:[^ .;!?]+ )+)(?:[.!?;,]|(?:, )?and) (?:please |but |just )?((?:open|close|shut) [^.,;!?]+?)"
         r"(?:first|beforehand|before you (?:speak|talk|go) to (?:him|her|them)|"
         r"before(?: you do)?(?: that| so| it)?) (?:, )?(?:though |please )?(?=[.!?]|$)",
         r"\2 . \1 "),
        (rf"once ({THE}{NP})(?:has|have|is|are) (?:been )?(opened|closed|brought|placed|delivered|moved|put) "
         r"(?:by you )?, ", r"^2 \1 . "),
        (r"(?:let|make|get|keep|give) [^,.;!?]+ by (opening|closing|shutting) ", r"\1 "),
        (r"(?:, )?if you (?:could|would|can) (?:please )?(?:fetch|bring|get|grab) (?:one|some|it|them) (?:for me )?"
         r"(?=[.!?]|$)", ""),
        (r"the (?:thing|question|only thing) (?:you should |you are |i want you )?(?:to )?ask (him|her|them|me) is ",
         r"ask \1 "),
        (rf", (?:since|as|seeing that|seeing as|for) (?={_STATES} )", "because "),
        (rf"^(?:since|seeing that|seeing as) ({_STATES} [^,.;!?]+), ", r"\1 . "),
        (r"would (?:really )?(?:hit the spot|go down well|do me good|do the trick|be just the thing) ",
         "would be nice "),
        (r"(is|are|was|were) (?:still|already|currently|presently|probably|usually|normally|supposedly) "
         r"(?=(?:on|in|at|by|near|inside|under) )", r"\1 "),
        (r"(?:, )?(?:whom|who|which|that) (?:you|i|we) (?:will|can|should|would|may) (?:be able to )?"
         r"(?:find|meet|see|catch) (?=(?:in|on|at|by|near|inside) )", ""),
        (r"(?:someone|somebody) (?=(?:left|put|forgot|placed|dropped) (?:it|them) (?:on|in|at|under|near|by) )", "i "),
        # what must stay as it is
        (r"but (?:please )?(?:keep|leave) (it|them|that) (?:closed|shut|locked) ", r"but do not open \1 "),
        (r"but (?:please )?(?:keep|leave) (it|them|that) open ", r"but do not close \1 "),
        (r"((?:bring|take|get|fetch|grab|hand|give|carry|put|place|move|set) [^.;!?]+?)(?:, )?but (?:please )?"
         r"leave (it|them) (?=(?:lying |right |standing )?(?:there|where|on|in|at) )", r"\1 , but do not take \2 "),
        (r"but (?:please )?(?:keep (?:hold of |holding )|hold on to |hang on to |do not let go of )(it|them|that) ",
         r"but do not hand \1 over "),
        # greetings, answers, counts by their nouns
        (r"(?:extend|give|offer|send|convey|deliver) (?:a |an |some |your |my |our )?(?:[a-z]+ )?"
         r"(?:greetings?|welcome|hello|salutations?) to (?=[^ .,;])", "greet "),
        (r"wish (him|her|them|me|[a-z]+) (?=an? (?:[a-z]+ ){1,3}?"
         r"(?:day|evening|morning|night|weekend|trip|time|stay|birthday|journey|flight|holiday) )", r"tell \1 have "),
        (rf"(?:pop|stick|plonk|plop|bung) ((?:it|them|that|{THE}{NP}))(?:back |away )?"
         r"(?=(?:in|on|into|onto|inside|at) )", r"put \1 "),
        (r"take (one|some|it|them|that) over (?:there )?(?=[.?!]|$)", r"bring \1 to them "),
        (r"bid ((?:[^ .,;!?]+ ){1,12}?)(?:farewell|goodbye|good bye|good night) ", r"say goodbye to \1"),
        (r"bid ((?:[^ .,;!?]+ ){1,12}?)(?:welcome|good morning|good day|good evening) ", r"greet \1"),
        (r"(?:provide|give|offer|supply) (?:him |her |them )?(?:an |the |with an )?answers? to "
         r"(?=(?:[^ .,;]+ ){1,5}?questions? )", "answer "),
        (r"(?:i (?:want|would like|need|wish) to (?:find out|know|learn|hear)|find out|determine|establish|work out) "
         r"the (?:number|count|amount) of ", "tell me how many "),
        (r"(?:tally|total|add) up the (?=[a-z])", "count the "),
        (r"i (?:want|would like|need|wish) to (?:know|hear|find out|learn) from ((?:the )?(?:[a-z]+ ){1,2}?)"
         r"(?=(?:what|how|which|when|where|why|who|if|whether) )", r"ask \1"),
        (r"(?:pass|relay|report|bring|give|convey) (?:his|her|their|the) (?:answer|reply|response) "
         r"(?:on |back |along |over )?to ", "tell the answer to "),
        # the way somewhere
        (r"(?:does not|do not|cannot|can not|did not) (?:know|remember|find) "
         r"(?:the way|how to get|where to go to get|her way|his way|their way) to ", "needs to go to "),
        (rf"i (?:am not sure|do not know|have no idea|am unsure|cannot remember|do not remember|forgot) "
         rf"(?:how to (?:get|find my way|go)|the way|where to go to get|how i (?:can )?get) to ((?:the )?{NP})"
         rf"(?=,|;|\.|so |and |$)", r"guide me to \1"),
        # another of the same for somebody else
        (rf"^i (?:would like|want|need) ({THE}{NP})(?=(?:, )?(?:and|plus) (?:one|another|the same) for )",
         r"bring \1 to me "),
        (r"for me (?=(?:, )?(?:and|plus) (?:one|another|the same) for )", "to me "),
        (r"(?:, )?(?:and|plus) (?:one|another|another one|one more|the same) (?:for|to) (?=[^ ])", ". bring one to "),
        (rf"i (?:want|would like|need|prefer) (?:both )?({THE}{NP})and ({THE}{NP})"
         r"to be (?:placed|put|moved|set|left|stored) (?=(?:on|in|at|to|into|onto|next|under) )",
         r"put \1 and \2 "),
        (r"(the person|someone|somebody|(?:the )?people|everybody|everyone|whoever) (?:over )?there "
         r"(?=for |what |who |if |whether |about |and |that )", r"\1 "),
        (r"(?:what|which) (gesture|pose|posture) ((?:the|a|an|that|this|some) (?:[^ ]+ )+?)(?:is|are) "
         r"(?:making|doing|showing|in|taking|giving|striking) (?=[.?!,;]|$)", r"the \1 of \2"),
        (r"(?:what|which) (gesture|pose|posture) (?:is|are|does|do) ((?:[^ ]+ )+?)"
         r"(?:making|make|doing|showing|show|in|taking|giving|have|striking) (?=[.?!,;]|$)", r"what is the \1 of \2"),
        (r"is ((?:the|a) (?:[^ .,;?]+ )+?)(?:sitting|standing|lying|seated|kneeling|crouching) (?:down )?"
         r"(?:, [a-z]+ )*or (?:sitting|standing|lying|seated|kneeling|crouching)(?: down)? ",
         r"what is the pose of \1"),
        (r"(?:(?:are|is) (?:they|he|she)|(?:whether|if) (?:they|he|she) (?:are|is)) "
         r"(?:sitting|standing|lying|kneeling|crouching)(?: down)? (?:, [a-z]+ )*or "
         r"(?:sitting|standing|lying|kneeling|crouching)(?: down)? (?=[?.;])", "what is their pose "),
        (r"how is ((?:the|a) (?:[^ .,;?]+ )+?)(?:positioned|posed|standing or sitting) ", r"what is the pose of \1"),
        (r"((?:whoever|the person|someone|somebody|the one) (?:[^ .,;]+ )+?)"
         r"(?:should|must|needs to|has to|wants to|would like to|is to) be "
         r"(led|guided|taken|brought|escorted|followed|greeted) ", r"^2 \1"),
        (r"is (?:waiting |ready )?(?:for you )?((?:at|in|on|by|near) (?:the |a )?(?:[a-z]+ ){1,3}?)"
         r"to be (?:taken|guided|led|brought|escorted|accompanied) to ", r"is \1 and wants to go to "),
        (r"there is ((?:someone|somebody|an? [a-z]+) (?:[^ .,;]+ )*?)(?:whom|who|that) "
         r"(?:you should|you must|i want you to|you have to|you need to) (follow|guide|greet|meet|find) ", r"\2 \1"),
        (r"is ((?:at|in|on|by|near) (?:the |a )?(?:[a-z]+ ){1,3}?)(?:waiting|asking|hoping) for (?=(?:the|an?|some) )",
         r"is \1 . they want "),
        (r"needs (?:company|an escort|help) (?:on the way |to get )?(?=(?:from|to) )", "needs to go "),
        # where people are, go, and come from; when
        (r"(is|are) (?:just )?(?:about|going|ready|planning|getting ready) to (?:walk|go|leave|head|move|set off) ",
         r"\1 walking "),
        (r"and (?:is|are) (?:currently |now |just )?(?=waiting |standing |sitting |at |in |by |near )", r". they are "),
        (r"(?:starting|beginning|start|begin) (?:off |out )?(?:from|at|in) (?=the |a )((?:[a-z]+ )+?), ",
         r"from \1 , "),
        (r"([,;.]|and) later (?:on )?(?=[a-z])", r"\1 then "),
        (r"^((?:[a-z]+ ){1,4}), (?=from |out of )", r"\1"),
        (r"^((?:[a-z]+ ){1,3}), ((?:in|at|on|near|by) (?:[a-z]+ ){1,4}), (?=(?:has|is|wants|needs|would|should|must) )",
         r"\1 \2"),
        (r"there is ((?:someone|somebody|an? [a-z]+) (?:[^ .,;]+ )*?)who "
         r"(?=(?:needs|wants|would|has to|wishes|asked) )",
         r"\1"),
        (r"and (?:you|i want you to) (?:should|must|have to|can|shall|need to|are to) ", ". "),
        (r"then (?:you )?(?:have|need) to ", "then "),
        (r"by (?:saying|telling (?:them|him|her)) ", "and say "),
        (r"tell (me|us) about (?=the (?:[a-z]{3,}est|most|least) )", r"tell \1 what is "),
        (r"what (the (?:[a-z]{3,}est|(?:most|least) [a-z]+) (?:[a-z]+ )+?(?:on|in) (?:it|there) )is ", r"what is \1"),
        # who wants to ask
        (r"there is ((?:someone|somebody|an? [a-z]+) (?:[^ .,;]+ )*?)with a (?:quiz|question) for you "
         r"(?:to answer )?(?:(?:, )?(?:please )?answer (?:it|them) )?",
         r"answer the question of \1"),
        (r"let ((?:[^ .,;]+ )+?)ask you (?:a|their|his|her|some) questions? "
         r"(?:and (?:then )?answer (?:it|them|that) )?", r"answer the question of \1"),
        (r"(?:would like|wants|has something|wishes) to ask (?:you )?(?:something|a question|some questions) ",
         "has a question "),
        (r"and (?:then )?answer (?=[.!]|$)", "and answer the question "),
        (r"introduce (?:some |a few )?(?:facts|things|something) about yourself ", "say something about yourself "),
        (r"(then|and) (?:it is |you are )?off to (?=(?:the|my|our) )", r"\1 go to "),
        # what is to be looked for before it is carried
        (rf"(?:see|check|look) (?:if|whether) there (?:is|are) ({THE}{NP})and (?:if so |then )?"
         r"(?=bring |take |give |put |fetch |get |hand |carry )", r"find \1 and "),
        (rf"(?:any|each|every) ({NP})(?:that |which )?you (?:find|see|spot|discover|come across) "
         rf"((?:in|on|at) {NP})(?:should|must|has to|needs to|ought to) (?:go|be put|be placed|be moved|be brought) ",
         r"take a \1 \2 and put it "),
        (r"there (?:is|are) (?:some|one|plenty|a few|several|lots)(?: of them)? (?=(?:in|on|at) )", "it is "),
        (rf"(?:run|go|head|walk|drive|pop|nip) (?:over )?to ((?:the|a) {NP})for ({THE}{NP})(?=and |[,.!] |$)",
         r"get \2 from \1"),
        (rf"((?:one |{THE}){NP})goes (?=(?:on|in|to|into|onto|at) )", r"put \1"),
        (rf"i (?:want|would like|need|prefer) ({THE}{NP})"
         r"(?:to be |to go |to stand |to lie |to end up |placed |put |moved )(?=(?:on|in|at|to|into|onto|next|under) )",
         r"put \1 "),
        (rf"((?:on|in|at) (?:the|a) {NP})there is ({THE}{NP})(?:that |which )?i (?:would like|want|need) "
         r"(?:to have )?",
         r"bring me \2 \1"),
        (rf"i (?:want|would like|need) ({THE}{NP})"
         r"(brought|taken|moved|placed|delivered|carried|opened|closed|handed|given|returned|fetched) ", r"^2 \1"),
        (rf"^it is ({THE}{NP})(?:that |which )?i (?:would like|want|need) you to (bring|give|fetch|get) (?:me )?",
         r"\2 me \1"),
        (rf"({THE}{NP})should (?:be|go) ((?:on|in|at|to|into|onto) [^.;!?]+)instead ", r"put \1 \2"),
        (r"(?:would it be|is it) possible to (?:get|have) ", "can i get "),
        # what is wanted, in the passive: "could the bowl please be placed on …"
        (rf"({THE}{NP})(?:has to|have to|must|needs to|need to|ought to) be "
         r"(moved|brought|taken|put|placed|delivered|carried|transferred|handed|given|returned) ", r"^2 \1"),
        (rf"(?:could|can|may|should|would) ({THE}{NP})(?:please )?be "
         r"(placed|put|brought|moved|taken|delivered|carried|opened|closed|fetched|handed|given|returned) ", r"^2 \1"),
        (rf"((?:take|bring|move|get|remove|fetch|grab|collect) {THE}{NP}(?:(?:off|from|out of|in|on|at) {NP})?)and "
         r"(put|place|placed|set|leave|left|lay|laid|moved) (?=(?:on|in|into|onto|to|at|back) )", r"\1 and put it "),
        (rf"({THE}{NP})would (?:really )?be (?:so )?"
         r"(?:great|nice|lovely|good|perfect|wonderful|fantastic|awesome|helpful|appreciated|welcome|handy) "
         r"(?:right now |now |please |about now |for me )*(?=[.!,] |$)", r"bring me \1"),
    )
)  # fmt: skip


def plainly(tokens: list[Token]) -> list[Token]:
    """The tokens in the reader's words."""
    return idiomatic(replaced(tokens, _RULES))
