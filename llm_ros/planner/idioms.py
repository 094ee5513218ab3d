"""Idioms: set phrases of everyday speech, put into the words that the reader knows.

In: tokens of a command. Out: the same with each phrase of the table replaced: "put it back where it belongs" → "put it
to its place" (rules.py). Comes after phrasing.py. Knows no world and no skill.
"""

from __future__ import annotations

from llm_ros.planner.rules import DURATION, NP, THE, compiled, replaced
from llm_ros.planner.tokens import Token

_IDIOMS = compiled(
    (
        (r"((?:tell|inform|let|give) (?:[^ .,;!?]+ ){1,4}?(?:know )?)(?:what|whatever) (?:he|she|they) "
         r"(?:said|says|say|answered|answers|answer|replied|replies|reply|tells? you|told you|has to say|have to say) ",
         r"\1 the answer "),
        (r"(say (?:hi|hello|hey|goodbye|good bye|bye|thank you|thanks) to (?:[^ .,;!?]+ ){1,6}?)(?:for|from) me "
         r"(?=[.!?,;]|and |$)", r"\1"),
        (r"((?:put|return|take|bring|carry|move|place) (?:[^ .,;!?]+ ){1,6}?)(?:back )?(?:to )?where (?:it|they) "
         r"(?:belongs?|goes|go|lives?|came from) (?=[.,;!?]|and |then |$)", r"\1 to its place "),
        (r"(?:back )?(?:to|in|into|on|onto|at) (?:its|their) (?:usual |proper |right |own )?(?:place|spot|home) ",
         "to its place "),
        (rf"return ({THE}{NP}|it |them )(?=to its place )", r"put \1"),
        (rf"(?:what|which) (colou?r|size|shape|length|make|brand) (?:is|are) ({THE}{NP}|[a-z]+ )(?=[?.!,;]|$)",
         r"what is the \1 of \2"),
        (rf"(?:what|which) (colou?r|size|shape|length|make|brand) ({THE}{NP})(?:is|are) (?=[?.!,;]|$)",
         r"what is the \1 of \2"),
        (r"(announce|declare|call out|proclaim) (?:over )?((?:in|at|on) (?:the |our )?(?:[a-z]+ ){1,3}?)that ",
         r"go to \2 , announce that "),
        (rf"^i (?:have )?(?:forgot|forgotten|left) ({THE}{NP})((?:on|in|at|by|under) {NP})(?=[.!]? ?$)",
         r"bring me \1 \2"),
        (r"and (?:then )?(?:hold|keep) (?:on to |hold of )?(?:it|them|that) (?=[.!,;]|$)", ""),
        (r"[^.;!?]*?(?:is|are|is waiting|are waiting|is standing) (?:at|outside|by|in front of) "
         r"(the (?:[a-z]+ ){0,3}?(?:door|gate|entrance) )[,.;] (?:so )?(?:please )?let (?:them|him|her) in ",
         r"open \1"),
        (rf"^(?:please )?i (?:want|would like|need|wish|have) to (?:go|get|be taken|be brought) (?:over |up |down )?to "
         rf"((?:the |our |my )?{NP})(?:please |now )?(?=[.!]? ?$)", r"guide me to \1"),
        (r"the first (person|man|woman|one|guest|visitor) (?:that |who |whom )?(?:you|we) "
         r"(?:see|meet|find|come across|can find|spot|run into) ", r"the \1 "),
        (r"what (?:you|we) (?:can |could )?(?:see|notice|find|spot) (?=(?:in|on|at|inside|under) )", "what is "),
        (rf"did (?:i|we|you|somebody|someone|anybody|anyone) (?:leave|put|forget|lose|drop) ({THE}{NP})"
         r"(?=(?:in|on|at|under|by|near|inside|behind) )", r"tell me whether \1 is"),
        (rf"have you (?:seen|got|spotted|noticed) ({THE}{NP})(?:anywhere |somewhere |around |lately )*(?=[?.!]|$)",
         r"where is \1"),
        (r"do (?:we|you|they) (?:still )?have (?:got )?((?:any|some) )", r"is there \1"),
        (r"(?:which|what) room is ((?:[^ .,;?!]+ ){1,4}?)in (?=[?]|$)", r"where is \1"),
        (r"(bring|get|fetch|give) (me|him|her|them) (?:what|whatever) is (?=(?:on|in|at|inside) )",
         r"\1 \2 everything "),
        (r"^can you (?:open|close|carry|bring|fetch|find|count|follow|guide|pick up|see|hear|recognise|recognize) "
         r"(?:doors|things|objects|people|stuff|drinks|cups|bottles|faces) (?=[?])", "what can you do "),
        (r"^(?!what |who |where |how |when |which |why |ask |see |check |find |if |please )"
         r"((?:[a-z]+ ){1,4}?(?:is|are|has|have|will|was|were|starts|begins|leaves|called|rang|needs) "
         r"(?:[^ .,;!?]+ ){1,10}?)[.,;] (?:so )?(?:please |can you |could you )?(?:go (?:and )?)?(?:tell|let|inform) "
         r"(?!me |him |her |them )((?:the )?(?:[a-z]+ ){1,3}?)(?:know )?(?:please )?(?=[.!?]? ?$)", r"tell \2 that \1"),
        (rf"((?:find|look for) {NP}|(?:find|look for) [a-z]+ )([.?!]) (he|she|they) (?:is|are) "
         r"(?:supposed|meant|likely|said|thought) to be (?=(?:in|on|at|by|near) )", r"\1 \2 \3 is "),
        (rf"(?:which|what) ({NP})(?:do we have|have we got|are there|is there) (?=[?])", r"what \1 "),
        (r"and (?:looks|seems|feels) (?:rather |a bit |a little |quite |very |so )?"
         r"(?:hungry|thirsty|tired|sad|gloomy|lost|bored|cold|unhappy|worried|upset|happy|confused|puzzled|busy) "
         r"(?=[.;,])", ""),
        (r"(?:put|pose) the question to ", "ask "),
        (rf"let {DURATION}(?:pass|go by|elapse) ", r"wait \1 "),
        (rf"(?:leave|keep) (?:it|them) (?:like that|open|closed|so|that way) for {DURATION}", r"wait \1 "),
        (rf"do not (?:move|go|drive|walk|stir) (?:away )?(?:from (?:it|there|the spot) )?for {DURATION}", r"wait \1 "),
        (r"(?:keep|stay|remain) (?:close|right|just|closely) behind ", "follow "),
        (r"who (?:ought to|should|must|might|may) (?:now |still )?be (?=(?:in|on|at|by|near) )", "who is "),
        (r"(?:i|we) (?:would like|want|need|would love) to (?:hear|know|learn|find out) "
         r"(?=(?:which|what|who|how|whether|if|where|when) )", "tell me "),
        (r"(?:stick|stay|come|walk|keep|go) (?:up |close |along |right )*(?:with|behind) me (?=until )", "follow me "),
        (r"(follow (?:me|him|her|them|[a-z]+) (?:to (?:the )?(?:[a-z]+ ){1,3}?)?)until (?:i|we|he|she|they) "
         r"(?:am there|are there|is there|get there|gets there|arrive there|arrives|arrive|have arrived|has arrived|"
         r"get where (?:i|we|he|she|they) (?:am|are|is) going) ", r"\1"),
        (r"^((?:at|in|on|by) (?:the )?(?:[a-z]+ ){1,3}?), ([a-z]+ )is (waiting|looking|hoping|longing) for ",
         r"\2 \1 is waiting for "),
        (rf"(?:someone|somebody) was (?:[a-z]+ing) ({THE}{NP})and (left|put|forgot|dropped) it ", r"i \2 \1 "),
        (rf"({THE}{NP})has to get (off|out of|from) ({THE}{NP})and (?:onto|into|to|on) ", r"move \1 from \3 to "),
        (r"find out what (?:they are|he is|she is) called ", "ask them what their name is "),
        (r"show ((?:[^ .,;]+ ){1,8}?)the way (?=from )", r"guide \1"),
        (r"(is|are) (?:busy|stuck|working|occupied|hard at work) (?=(?:at|in|on|by|near) )", r"\1 "),
        (r"(?:, )?(?:after|following) that (?=[.!;]|$)", ""),
        (r"(?:have a look|take a look|look|see) (?:at )?what is (in|on|inside) (it|there) (?:, )?and "
         r"(?:tell me|let me know)(?: about it)? ", r"tell me what is \1 \2 "),
        (r"(wants|would like|needs|wishes) to (?:know|ask you) something ", "has a question "),
        (rf"^i (?:have|need|want|am going) to (?:go|get|walk|head) to ({NP})(?:now |soon |next )?[.,;] (?:and |so )?"
         r"(?:please )?follow me ", r"follow me to \1"),
        (r"(?:, )?so (?:that )?you (?:can|will|could) (?:easily )?(?:tell|know|see|recogni[sz]e|spot|find) "
         r"(?:who (?:it|that|they|he|she) (?:is|are)|them|him|her) ", ""),
        (r"(?:and )?(?:i have no idea|i do not know|i am not sure|no idea) where (?:they|he|she) (?:is|are) "
         r"(?:off|going|heading|headed) (?:to )?(?:, )?(?:but |so |and )?", ""),
        (r"give (him|her|them) an answer ", r"answer the question of \1 "),
        (r"run (it|them|that|this|one) (?:over |across |up |down |round )?(?=to )", r"bring \1 "),
        (r"(is|are) (?:just )?off to (?=the )", r"\1 walking to "),
        (r"(is|are) about to (?!leave |go |walk |set |move )(?:[a-z]+ ){1,4}?(?=(?:in|at|on) the )", r"\1 "),
        (r", which (?:must|should|ought to|might|may|could|has to) (?:still )?be (?:somewhere |lying |left )*"
         r"(?=(?:in|on|at|under|near) )", ". it is "),
        (r"(someone|somebody) (?:whom |who |that )?you (?:do not know|have not met|have never met|have not seen)"
         r"(?: yet| before)? ", r"\1 "),
        (r"tell ((?:[^ .,;!?]+ ){1,8}?)who you are ", r"introduce yourself to \1"),
        (r"(?:walk|go) there with (them|him|her) ", r"guide \1 there "),
        (r"^(?:the )?(?:[a-z]+ ){1,3}?needs (?:some |more |fresh |a bit of )*(?:air|airing|light) [.:;,] ", ""),
        (rf"^i would (?:love|like) to (?:see|visit) ({NP})[.;,] (?:so |please |go ahead and )*"
         r"(?:bring|take|guide|lead|show) me (?:over )?there ", r"guide me to \1"),
        (r"give ((?:[^ .,;]+ ){1,4}?)(our|my) ((?:[a-z]+ ){0,2}?(?:wishes|regards|congratulations|condolences)) ",
         r"tell \1 \2 \3 "),
        (rf"check ({THE}{NP})(?:for me )?[;,.] i (?:want|would like|need) to know the number of ({NP})"
         r"(?:that are |which are )?(?:still |left |lying )*(?:there|on it|in it) ", r"tell me how many \2 are on \1"),
        # how far the robot has got, which is no condition
        (r"(?<=[.,;!] )(?:and |then )?(?:once|when|after|as soon as) (?:i|he|she|they|we|it|everybody|everyone) "
         r"(?:have|has) (?:got |had |received )?(?:it|that|them|those|this|theirs|his|hers|mine)"
         r"(?: in (?:my|his|her|their) hands?)? (?:, )?", "then "),
        (r"(?:and )?(?:once|when|after|as soon as) (?:he|she|they|everybody) (?:have|has) (?:got )?"
         r"(?:it|that|them|those) (?=[.!]|$)", ""),
        (r"(?<=[.,;!] )(?:and |then )?(?:once|when|as soon as) (?:we (?:get|are|arrive) there|"
         r"(?:those|these) are (?:there|in place|done)|(?:the )?(?:time|minute)s? (?:is|are) (?:up|over)|"
         r"(?:it|that) is (?:over|up)|they are (?:over|up)) (?:, )?", "then "),
        (r"(?:and )?tell me what you (?:saw|found|have seen|have found|see|find|discovered)(?: in it| there| inside)? "
         r"(?=[.!]|$)", "and tell me the result "),
        (r"(?:have a look|take a look|look|see)(?: at)? what is (in|on|inside) (it|there) (?=,|and (?:close|shut))",
         "inspect it "),
        (r"i (?:have to|need to|must|would like to|want to) be (?:sure|certain) (?:that )?", "i wonder whether "),
        (r"i (?:would like|want|wish|am hoping) to (?:(?:drink|eat|cook|sit|write|read) (?:out of|from|off|in|at|on)|"
         r"write|cut|work|wear|clean|play) [^.;!?]*[.;] (?=[^ ])", ""),
        (r"is (?:serving|helping|talking to|looking after|chatting with|dealing with) "
         r"(?:a|an|some|the) (?:customers?|guests?|visitors?|clients?|people) (?=(?:in|at|on|by) )", "is "),
        (r"(?:they are|it is) (?:normally |usually |always |generally )?(?:kept|stored|stocked) (?=(?:in|on|at) )",
         "it is "),
        (r"^(?:i think |i am afraid |it seems )?i (?:forgot|have forgotten|neglected|failed) to "
         r"(shut|close|open|tell|bring|take|put|ask|greet|give|fetch) ([^.;!?]+)[.;] (?:so |and )?"
         r"(?:would|could|can|will) you (?:please )?(?:do (?:that|it|so)|see to (?:it|that))(?: for me)? ", r"\1 \2 "),
        (rf"for a (?:while|bit|moment) [;,.:] {DURATION}(?:is|are|will be|should be|would be|will) "
         r"(?:enough|fine|ok|do) ", r"for \1 "),
        (r"but do not let (him|her|them) have (it|them) ", r"but do not give \2 to \1 "),
        (r"^(?:do|can) you see ((?:somebody|someone|the|a|that) [^?]+)[?] (?=[a-z])", r"there is \1 . "),
        (rf"what number of ({NP})(?:is|are) ", r"how many \1 are "),
        (rf"(?:a|an|one of the|some|the|our) (?:children|kids|guests|visitor|guest|customer|colleague|patient|student|"
         rf"child|kid|man|woman|lady|guy|friend|member|"
         rf"tourist|worker|cook|lawyer) (left|forgot|dropped|lost) (?:his|her|their|the|a|an) ({NP})"
         r"(?=(?:on|in|at|by|under|near|behind) )", r"i left the \2"),
        (r"drop (it|them|that) off (?=(?:at|in|on|by) )", r"put \1 "),
        (rf"({THE}{NP})should get (?=(?:the|a|an|some) )", r"\1 needs "),
        (r"i (?:would like|want|need) you (?:back )?(?:here )?(?:back )?(?:with|by|beside) me(?: again)? ",
         "come back to me "),
        (r"is (?:standing by|waiting|hanging around) ((?:at|in|on|by) (?:the )?(?:[a-z]+ ){1,3}?)for (?=the |a |an )",
         r"is \1 and wants "),
        (r", which (?:someone|somebody|i|we|he|she|they) (?:has |have )?(?:set down|put down|put|left|placed|forgot)"
         r" (?=(?:on|in|at) )", ". it is "),
        # what only leads up to an order
        (r"(?:, )?(?:and |but )?i (?:do not know|am not sure|have no idea) (?:who|what|how) [^.;!?,]*[.;,] (?=[^ ])",
         ". "),
        (r"^i (?:would like|want|need) something to (?:eat|drink)(?: and something to (?:eat|drink))? [.;:] (?=[^ ])",
         ""),
        (r"^(?:[a-z]+ ){1,3}?(?:arrive|arrives|are arriving|is arriving|are coming|is coming) (?:soon|shortly|"
         r"any minute|in a minute|in a moment|today|later|tomorrow) (?:, so |[.;,] )", ""),
        (r"before (?:it|they) (?:gets?|becomes?|turns?) [a-z]+ ", ""),
        (r"^(.+[.;] )before you (?:collect|fetch|get|take|bring|do|go|leave|start|set off)[^.,;]*, (?:please )?"
         r"((?:open|close|shut|see|make sure|get|have) [^.;!?]*)(?=[.!]|$)", r"\2 . \1 "),
        (rf"(?:check|have a look at|take a look at|look at|inspect) ({THE}{NP})(?:for me )?[?;,.] "
         rf"(?:tell me|let me know|i (?:would like|want|need) to know) (?:whether|if) ({THE}{NP})is (?:still )?there ",
         r"tell me whether \2 is on \1"),
        (r"(?:go (?:in|over|there)? ?(?:, |and )?)?see who (?:it is|is there|is in there)(?: in there)? (?:, )?and "
         r"(?:report|let me know|tell me)[^.;!?]*", "tell me who is there "),
        (r"(?<=[?.;,] )(?:please )?(?:go (?:over )?(?:there )?(?:and )?)?(?:have a look|take a look|look|check) "
         r"(?:there )?(?:, )?and (?:then )?(?:let me know|tell me) (?=[.!]|$)", ""),
        (r"([a-z]+ )(?:ought to|should|must|might) be (?=(?:in|on|at) [^.;!?]*[.;!?] [^.;!?]*"
         r"(?:look for|find|check on|see if you can find) (?:him|her|them) )", r"\1 is "),
        (rf"see that ({THE}{NP})is (?:opened|open) ", r"open \1"),
        (rf"see that ({THE}{NP})is (?:closed|shut) ", r"close \1"),
        (r"((?:put|place|move|set) [^.;!?]+?)(?:, )?but do not take (it|them) (?:on|in|at) [^.;!?]*",
         r"\1 , but do not pick \2 up "),
        (r"(?:leave|put|place|set) (it|one|some) (?:out )?for (?:them|him|her|us|me|everyone|everybody) "
         r"(?=(?:on|in|at) )", r"put \1 "),
        (rf"(?:choose|select) (?:any|one|a|an) ({NP})(?:out of|from|off) ", r"take a \1 from "),
        (r"for (?:tonight|today|tomorrow) [a-z]+ (?=[.;,!]|$)", ""),
        (rf"(?:tell me|i would like to know) something about (the {NP})[:,.] which (?:one )?(?:of them )?is "
         r"((?:the )?(?:[a-z]{2,}est|most [a-z]+|least [a-z]+)) ", r"tell me what is \2 \1"),
        (r"check with ((?:[^ .,;!?]+ ){1,4}?)(?=(?:what|which|who|where|when|why|how|whether|if) )", r"ask \1"),
        (r"report (?:back )?to me (?:what|whatever) (?:he|she|they) (?:said|says|say|answered|answers|answer) ",
         "tell me the answer "),
        (r"one of (?:our|the|my|your) (guest|visitor|customer|colleague|student|patient|tourist|camper)s ", r"a \1 "),
        (rf"^[^.;!?]*because ({THE}{NP})is (?:still )?(?:shut|closed) [.;,] (?:so )?"
         r"(?:please |could you |would you |can you )*open it ", r"open \1"),
        (r"(?:go and |please )?see who is ((?:in|at|on|by) [^.;,!?]*?)(?:, )?and (?:then )?(?:report|tell|let)[^.;!?]*",
         r"tell me who is \1"),
        (r"let (him|her|them|me) have (it|them|one|that) ", r"give \2 to \1 "),
        (r"i need (it|them) (?:over )?here(?: now| with me)? ", r"bring \1 to me "),
        (r"i was [a-z]+ing (?:(?:in|at|on) (?:the )?(?:[a-z]+ ){1,2}?)?and (left|forgot) ", r"i \1 "),
        (r"(?:he|she|they) (?:is|are) looking for ((?:the )?(?:[a-z]+ ){1,3}?), so (?:please |would you |could you )*"
         r"(?:bring|take|show|lead|guide) (him|her|them) there ", r"guide \2 to \1"),
        (r"and (?:should|ought to|has to|needs to) be (?:in|at) ((?:the )?(?:[a-z]+ ){1,3}?)(?:by now |now |already )?"
         r"[.;] (?:so )?(?:can|could|would) you (?:please )?show (him|her|them) the way ", r". guide \2 to \1"),
        (r"i wonder (?=(?:how many|whether|what|who|which|where) )", "tell me "),
        (r"i (?:have to|need to|must|want to) (?:write down|note|note down|record) the number of ",
         "tell me how many "),
        (r"(?<=[.;] )(?:please |could you |would you |can you )*(?:find out|check|count)(?: them)? and (?:give me the "
         r"(?:number|figure)|tell me|let me know|report (?:back )?to me) (?=[?.!]|$)", ""),
        (r"(standing|sitting|lying) (?:around|about) ", r"\1 "),
        (rf"(?:i|we) (?:will )?(?:need|want|would like) ({THE}{NP})(?:to be )?open (?=[.,;!]|$)", r"open \1"),
        (rf"(?:i|we) (?:will )?(?:need|want|would like) ({THE}{NP})(?:to be )?(?:shut|closed) (?=[.,;!]|$)",
         r"close \1"),
        (rf"^(?:i think |it seems )?(?:that )?(?:someone|somebody|i|we) (?:has |have )?left ({THE}{NP})open "
         r"((?:in|at) [^.;!?]*)?[.;] (?:so )?(?:would you mind |could you |would you |please )*"
         r"(?:shutting|closing|shut|close) it ", r"close \1 \2"),
        (r"will (?:spoil|melt|go bad|get cold|get warm|be ruined|burn|dry out) if it (?:stays|is left|remains) "
         r"(?=(?:on|in|at) )", "is "),
        (r"(?:stick|stay|keep) (?:close |along )*with (him|her|them) until (?:he is|she is|they are) there ",
         r"follow \1 "),
        (r"when (?:he|she|they) (?:sets?|leaves?|goes|go|walks?|heads?) (?:off |out )?(?:for|to) "
         r"((?:the )?(?:[a-z]+ ){1,3}?), (?:please )?(?:go along behind|follow|walk behind|stay behind|go after) "
         r"(him|her|them) ", r"follow \2 to \1"),
        (r"and (?:has|needs|wants|would like) to know (?:when|what|where|how|whether) to [^.;!?]*", ""),
        (rf"(?:tell me|i would like to know) what ({THE}{NP})looks? like (?:[.;] )?"
         r"(?:(?:take|have) a look at it and describe it to me )?", r"describe \1 to me "),
        (r"lead the way (?=to )", "guide me "),
        (r"walk (me|him|her|them) (?=to )", r"guide \1 "),
        (r", any (?:one |of them )?(?:will|would|is fine|is ok) ?(?:do )?(?=[.!]|$)", ""),
        (rf"(?:check|see|make sure|look) (?:that|whether|if) ({THE}{NP})is (closed|shut|open) (?:, )?and "
         r"(?:, )?(?:if not , )?(close|shut|open) it (?:if (?:it is )?not )?(?=[.!]|$)", r"\3 \1"),
        # what is to be otherwise
        (rf"({THE}{NP})is (?:shut|closed) , but (?:it )?(?:should|must|ought) not (?:to )?be [.;,] "
         r"(?:[^.;!?]*(?=[.!?]|$))?", r"open \1 ."),
        (rf"({THE}{NP})is (?:wide )?open , but (?:it )?(?:should|must|ought) not (?:to )?be [.;,] "
         r"(?:[^.;!?]*(?=[.!?]|$))?", r"close \1 ."),
        (rf"but ({THE}{NP})is (?:shut|closed) [.;,] (?:please )?(?:can |could |would |will )?(?:you )?(?:please )?"
         r"(?:mind )?chang(?:e|ing) (?:that|it) ", r". open \1"),
        (rf"because ({THE}{NP})is (?:shut|closed) [.;,] (?:please )?(?:can |could |would |will )?(?:you )?(?:please )?"
         r"(?:mind )?chang(?:e|ing) (?:that|it) ", r". open \1"),
        (rf"let (it|{THE}{NP})stand open for {DURATION}", r"open \1 , wait for \2"),
        (r"^i (?:would like|want|need|have) to [a-z]+ (?:myself|ourselves) [^.;!?,]*, so (?=i )", ""),
        (r"(?<=[.;!] )(?:so )?(?:please )?(?:can|could|would|will) you (?:please )?(?:take care of|see to|sort out|"
         r"look after|do something about|change) (?:it|that|this) (?:for me )?(?=[?.!]|$)", ""),
        (r"(?:walk|go|drive|move) (?:ahead|in front|before me)(?: of me)? so (?:that )?i can "
         r"(?:come along (?:behind|after) you|follow you|come after you|walk behind you|follow) ", "guide me there "),
        (r"(?:move|go|stay|stand|drive) (?:back )?here with me in a (?:moment|minute|bit) , but first ", "first "),
        (r"spend (?=(?:[a-z]+ ){1,3}?(?:minutes?|seconds?) )((?:[a-z]+ ){1,3}?(?:minutes?|seconds?) )"
         r"(?:waiting |standing )?(?=(?:at|in|on|by|near) )", r"wait \1"),
        (r"(?:, )?(?:though|although|but) i (?:am not sure|do not know|cannot say|can not say) (?:exactly )?where "
         r"(?:exactly )?(?=[.!]|$)", ""),
        (r"(put|place|bring|take|carry|give|move|leave|lay|set|hand|deliver|return) (?:both|the two)(?: of them)? "
         r"(?=(?:on|in|to|at|into|onto|down|over|back|beside|next) )", r"\1 them "),
        (rf"(wait|stay|stand|remain) (there|here) [.;,] {DURATION}(?:is|are|will be|should be) (?:enough|sufficient) ",
         r"\1 \2 for \3"),
        (r"^i (?:will be|am) (?:busy|occupied|away|gone) [^.;!?]*[.;] in the meantime (?:, )?", ""),
        (r"(?:give|get) (me|us) (?:a |the |an exact )?head ?count (?:for|of|in) ", r"tell \1 how many people are in "),
        (r"(?:is there )?any sign of ((?:the )?(?:[^ .,;!?]+ ){1,4}?)(?=(?:in|at|on) )", r"is \1"),
        (r"(?<=[;.,] )(?:please )?go (?:over|up|down|across) and (?=(?:say|express|tell|ask|greet|thank) )", ""),
        (r"(?:say|express|give) (?:our|my) (?:thanks|gratitude) to ", "say thank you to "),
        (r"congratulate ((?:[^ .,;!?]+ ){1,10}?)(?=(?:on|for) |and |then |[.,;!?]|$)", r"tell \1 congratulations "),
        (r"((?:tell|say) (?:[^ .,;!?]+ ){0,9}?thank you for )(?:her|his|their) ", r"\1 the "),
        (rf"(some {NP})or other ", r"\1"),
        (rf"i would be (?:glad|happy|grateful|pleased) if ({THE}{NP})(?:were|was|is) open ", r"open \1"),
        (rf"i would be (?:glad|happy|grateful|pleased) if ({THE}{NP})(?:were|is) (?:closed|shut) ",
         r"close \1"),
        (r"check for (me|us) (?=(?:how many|whether|if|what|which) )", r"tell \1 "),
        # said in passing: how it stands, what is to be known, who is not to be lost
        (r"(?<=[^ ] )still (?=(?:on|in|at|under|by|near|inside|there|open|closed|shut) )", ""),
        (r"it (?:would|will) (?:[a-z]+ ){1,7}to (?:know|hear|learn|find out) "
         r"(?=(?:if|whether|what|where|how|who|which|when) )", "tell me "),
        (rf"(?:we are|they are|i am) (?:all |always |again )?(?:running )?(?:low on|short of|out of) ({NP})(?:again )?"
         r"[,;.:] (?:so )?how many (?:of them |of these )?(?:are|do we have|have we got) (?:there )?left ",
         r"how many \1 are left "),
        (r"do not (?:let ((?:[^ .,;!?]+ ){1,9}?)(?:out of (?:your )?sight |get away (?:from you )?|slip away |escape )|"
         r"lose (?:sight of )?((?:[^ .,;!?]+ ){1,9}?))(?=[.,;!?]|$)", r"follow \1 \2"),
        (rf"((?:go|drive|head|walk|run|pop|roll|nip) (?:over |off |down |up )?to (?:the )?{NP})(?:, )?and (?:then )?"
         rf"(?:come|be|get|head) (?:straight |right )?back (?:here |to me )?with ({THE}{NP})(?:for me )?(?=[.,;!?]|$)",
         r"\1 and bring me \2"),
        (rf"(?:stay|remain|hang around|linger|stand) (?:for )?{DURATION}(?=(?:by|at|in|near|beside|next) )",
         r"wait \1"),
    )
)  # fmt: skip


def idiomatic(tokens: list[Token]) -> list[Token]:
    """The tokens in the reader's words."""
    return replaced(tokens, _IDIOMS)
