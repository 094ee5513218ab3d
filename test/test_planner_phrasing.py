"""The same command in other words comes to the same plan; and phrasing by itself."""

import json
import random
import re

import pytest
from planner_helpers import DATA, obedient_planner, planned

from llm_ros.planner.phrasing import plainly
from llm_ros.planner.tokens import tokenize

SAME = {
    "close the front door, then wait for twenty seconds": (
        "After you've got the front door closed, please pause for twenty seconds.",
    ),
    "follow me to the office": ("I'm off to the office, and I'd like you to come along with me.",),
    "guide Alice from the office to the kitchen and tell her that lunch is ready": (
        "Alice is in the office. Would you see her to the kitchen, please, and once she's there, let her know that "
        "lunch is ready?",
    ),
    "tell me what is the smallest fruits on the kitchen counter": (
        "Please check the fruits on the kitchen counter and let me know which of them is the smallest.",
    ),
    "answer the question of the person raising their left arm in the office": (
        "Someone in the office has put their left arm up because there's something they want to know. Could you go and "
        "answer their question?",
    ),
    "give the waving person in the office a snack from the kitchen counter": (
        "The person who's waving in the office isn't equipped yet. Let them have a snack out of the kitchen counter.",
    ),
    "tell Alice in the office thank you": ("Go to Alice in the office and thank her.",),
    "greet the waving person in the office, then go to the kitchen": (
        "You're needed in the kitchen, but before you go there, please greet the person who's waving in the office.",
    ),
    "wait in the office": ("I want you in the office. Wait there.",),
    "move the cola from the desk to the coffee table, then come back to me": (
        "The cola is on the desk, of all places. Would you take it to the coffee table, where it belongs, and then "
        "return to me?",
    ),
    "wait for two minutes, then bring me the cola": (
        "I'd like to have the cola, but not straight away: hold on for two minutes before you bring it to me.",
    ),
    "go to the office and wait there for half a minute": (
        "Please position yourself in the office and don't move from that room for half a minute.",
    ),
    "follow Alice from the office to the kitchen": (
        "When Alice walks from the office to the kitchen, I'd like you to keep right behind her.",
        "Alice is leaving the office for the kitchen. Stay on her heels until she arrives, please.",
    ),
    "move the cola from the desk to the coffee table": (
        "There's a cola on the desk. I'd be happier if it were on the coffee table, so please take it there.",
    ),
    "guide Alice from the office to the kitchen": (
        "Alice is in the office and wishes to leave, so please walk her to the kitchen.",
    ),
    "bring Alice the cup, and then bring her the cola": (
        "Alice needs two things from you, one after the other: first the cup, and afterwards the cola.",
    ),
    "bring Alice in the office the cola from the desk, then guide her to the kitchen": (
        "Alice in the office needs the cola from the desk; when she's got it, guide her to the kitchen.",
    ),
    "bring the cola from the desk to Alice in the kitchen, then wish her a nice day": (
        "The cola on the desk is meant for Alice in the kitchen. Give it to her, then wish her a nice day.",
    ),
    "answer the question of the person in a red coat in the kitchen": (
        "A person in the kitchen has a question. They're wearing a red coat, so you can't miss them; please answer it.",
        "A person in the kitchen, the one who has a red coat on, has a question. Please answer it.",
    ),
    "tell the woman in the red skirt in the kitchen that lunch is ready": (
        "Go to the woman in the kitchen. She is the one in the red skirt. Tell her that lunch is ready.",
    ),
    "tell the person pointing to the left in the kitchen a joke": (
        "Tell the person in the kitchen who is pointing left a joke",
    ),
    "find Alice in the kitchen and tell her that the bus is here": (
        "Find Alice in the kitchen. She's in a red coat. Tell her that the bus is here.",
    ),
    "tell me whether the cola is in the kitchen": (
        "Look for the cola in the kitchen and tell me whether it is there.",
        "Please check the kitchen and tell me if we've got a cola there",
    ),
    "go to the kitchen, tell me where the cola is": (
        "Look around the kitchen for the cola and tell me where it is.",
    ),
    "open the front door, then find Emil in the office": (
        "Find Emil in the office, but before you do that, get the front door open.",
        "Find Emil in the office; but first of all, open the front door",
    ),
    "answer the question of the person pointing to the right in the office": (
        "Someone in the office is pointing to the right. Answer whatever they ask you.",
    ),
    "take the cola from the desk to the coffee table": (
        "Why is there a cola on the desk? It should be on the coffee table, please put it back.",
        "Who on earth left a cola on the desk? It belongs on the coffee table, so tidy it away",
    ),
    "go to the office and come back": (
        "Go to the office and back",
        "Please drive to the office and straight back again.",
    ),
    "greet the waving person in the kitchen": ("Someone keeps waving in the kitchen, greet them",),
    "go to the coffee table": ("Go to the c\u00f3ffee table", "Please position yourself by the coffee table"),
    "close the front door and go to the kitchen": ("Close the front door and proceed to the kitchen.",),
    "tell Emil at the desk what is on the coffee table": (
        "Emil is at the desk and he'd like to know what's on the coffee table; have a look there and then tell him.",
        "Emil at the desk wants to know what is on the coffee table",
    ),
    "wait in the kitchen for twenty seconds, then find Emil in the office": (
        "Wait in the kitchen for twenty seconds and, when the time's up, find Emil in the office",
    ),
    "go to the kitchen and tell Emil a joke": ("Go to the kitchen and entertain Emil with a joke",),
    "guide the person wearing a white coat from the sofa to the bedroom": (
        "There is someone at the sofa in a white coat who'd love to see the bedroom; please take them there.",
    ),
    "say hello to the person wearing a blue jacket in the hallway": (
        "It'd be lovely if you went and said hello to the person in the hallway wearing a blue jacket",
    ),
    "guide Dana from the sofa to the office": ("Dana has just sat down at the sofa. Accompany her to the office",),
    "count the sitting people in the kitchen and tell the result to Emil": (
        "Count the people sitting in the kitchen and pass the figure on to Emil",
    ),
    "tell Emil at the desk that i am sorry for the wait": ("Please apologise to Emil at the desk for the wait.",),
    "follow me to the kitchen": ("I'm off to the kitchen now and I'd like you to follow me there",),
    "follow the person pointing to the left in the office": (
        "Follow the person in the office who is pointing to the left",
        "Somebody in the office points to the left; follow that person.",
        "Find the person in the office who's pointing left and follow them",
        "If you see someone pointing to the left in the office, follow them.",
    ),
    "guide the person raising their right arm in the office to the kitchen": (
        "Someone in the office has their right arm up. Take that person to the kitchen.",
        "Guide the person with the raised right arm in the office to the kitchen",
        "The person in the office who has raised their right arm needs to go to the kitchen, take them there",
    ),
    "say hello to the person wearing a red jacket in the bedroom": (
        "Say hello to the person in the bedroom with a red jacket",
        "Greet whoever has a red jacket on in the bedroom",
        "Greet the red jacket wearing person in the bedroom",
        "Greet the one in a red jacket in the bedroom",
    ),
    "tell me how many people wearing blue coats are in the hallway": (
        "How many people in the hallway are wearing blue coats?",
        "Tell me how many folks in the hallway wear blue coats",
        "Let me know the number of people in the hallway dressed in blue coats",
    ),
    "tell me how many sitting people are in the kitchen": (
        "How many people are sitting in the kitchen?",
        "Tell me the number of persons who sit in the kitchen",
    ),
    "tell me what is the heaviest snack on the cupboard": (
        "Which snack on the cupboard is the heaviest?",
        "Let me know which snack on the cupboard weighs the most.",
        "What snack on the cupboard weighs the most?",
    ),
    "tell me how many toys are on the bookshelf": (
        "What's the number of toys on the bookshelf?",
        "How many toys does the bookshelf hold?",
        "I wonder how many toys are on the bookshelf",
    ),
    "take a snack from the cupboard and put it on the desk": (
        "Take one of the snacks out of the cupboard and leave it on the desk",
        "Any snack you find in the cupboard should go on the desk",
    ),
    "bring me the cola from the desk": (
        "The cola from the desk would be great right now.",
        "You see the cola on the desk? I'd like to have it, please.",
        "Would it be possible to get the cola from the desk?",
        "On the desk there's the cola that I'd like to have.",
    ),
    "put the bowl on the coffee table": (
        "Could the bowl please be placed on the coffee table?",
        "The bowl has to be moved to the coffee table.",
        "I want the bowl to be on the coffee table.",
    ),
    "bring me a fork from the sink": (
        "I need a fork. You can find one at the sink.",
        "Please hand me a fork, they are at the sink.",
    ),
    "follow bruno from the sofa to the kitchen": (
        "Bruno is about to walk from the sofa to the kitchen. Follow him.",
        "Wait for Bruno at the sofa and then follow him into the kitchen",
        "Meet Bruno at the sofa and follow him until he reaches the kitchen",
        "Meet Bruno at the sofa and follow him as he walks to the kitchen",
    ),
    "guide dana from the bed to the hallway": (
        "Dana is at the bed and needs to get to the hallway, please show her the way.",
        "Dana wants to go to the hallway and is waiting at the bed. Lead the way.",
        "At the bed there is Dana who needs to go to the hallway. Take her there.",
    ),
    "greet emil in the bathroom and guide him to the office": (
        "Emil is in the bathroom: say hello and show him the way to the office.",
        "Say hello to Emil, you'll find him in the bathroom, then bring him to the office.",
    ),
    "tell the name of the person at the sofa to the person at the desk": (
        "What is the name of the person at the sofa? Tell it to the person at the desk.",
        "The person at the desk would like to know the name of the person at the sofa. Go find out and tell them.",
    ),
    "tell the pose of the person at the sofa to the person at the desk": (
        "Check the pose of the person at the sofa, then tell the person at the desk about it.",
        "The person at the desk wants to know what pose the person at the sofa is in.",
    ),
    "close the front door": (
        "Would you mind closing the front door, since there is a draught?",
        "Since it is cold, close the front door.",
    ),
    "open the front door": ("Let some fresh air in by opening the front door.",),
    "bring me the cup from the desk": ("The cup is still on the desk, can you grab it for me?",),
    "bring an apple to Dana in the office": ("Bring an apple to Dana, whom you will find in the office.",),
    "say hello to Dana in the office": ("Extend a warm welcome to Dana in the office.",),
    "say goodbye to Dana in the office": ("Bid Dana farewell in the office.",),
    "answer Dana's question in the office": ("Provide an answer to Dana's question in the office.",),
    "tell me how many toys are at the desk": ("I'd like to find out the number of toys on the desk.",),
    "guide me to the office": ("I'm not sure how to get to the office; please take me there.",),
    "put the cup and the bowl on the desk": ("I need both the cup and the bowl to be placed on the desk.",),
    "take the cup from the sofa and put it on the desk": (
        "Could the cup be taken off the sofa and put on the desk, please?",
    ),
    "which of the toys on the desk is the smallest": (
        "Of all the toys on the desk, I want to hear from you which one is the smallest.",
    ),
    "open the refrigerator and move the milk from the refrigerator to the desk": (
        "After opening the fridge, remove the milk from it and set it down on the desk.",
    ),
    "bring me a cola": ("A cola would hit the spot.",),
    "put an apple on the desk": ("An apple is missing from the desk: place one there.",),
    "tell me the time": ("I'd be grateful if you let me know the current time.",),
    "bring the scissors to Dana": ("Dana is in need of the scissors; kindly deliver them to her.",),
    "count the people wearing red jackets in the kitchen": (
        "Count the people in the kitchen who are wearing red jackets",
    ),
    "say good morning to Dana in the office": ("say good morning to dana shes in the office",),
    "get the cup from the desk, give it to Dana and go to the bed": (
        "get the cup from the desk give it to dana go to the bed",
    ),
    "bring me the pear": (
        "It's the pear I'd like you to bring me, not the apple.",
        "dont bring me the apple bring me the pear",
        "bring me the pear no hurry",
    ),
    "wait ten seconds, then bring me the pear": ("Bring me the pear, but wait ten seconds first.",),
    "close the front door, then go to the desk": ("Once the front door has been closed by you, go to the desk.",),
    "ask Dana what time lunch is and tell me the answer": (
        "I'd like to know from Dana what time lunch is; pass her answer on to me.",
        "Find out from Dana what time lunch is and tell me the answer",
    ),
    "count the toys on the desk and tell Dana how many there are": (
        "count the toys on the desk and tell dana how many there are",
    ),
    "tell me the gesture of the person at the sofa": ("What kind of gesture is the person at the sofa making?",),
    "give the cup to the person at the sofa": ("Please let the person at the sofa have the cup.",),
    "tell Dana in the office that lunch is ready": (
        "Dana doesn't know yet that lunch is ready; she's in the office, so go and tell her.",
    ),
    "answer the question of the waving person in the office": (
        "There's someone waving in the office whose question you should answer.",
    ),
    "follow Dana from the office to the kitchen": (
        "Dana, who you'll find in the office, has to be followed to the kitchen.",
        "starting in the office, follow Dana until she reaches the kitchen",
    ),
    "put the cup in the sink": ("Would you drop the cup in the sink for me?", "Pop the cup back in the sink."),
    "bring Dana a drink": ("Bring Dana a beverage", "Dana could murder a drink."),
    "open the fridge": ("Let's have the fridge open", "Let's see you open the fridge"),
    "tell me whether the front door is shut": ("Is the front door shut? Let me know.",),
    "close the front door, then bring me the cup": (
        "Bring me the cup. Close the front door first, though.",
        "Bring me the cup and shut the front door beforehand.",
        "Could you bring me the cup? Please close the front door before you do.",
    ),
    "get the cup from the desk and bring it to me": (
        "Go to the desk and come back with the cup.",
        "Head over to the desk, and be back here with the cup for me.",
    ),
    "wait a minute by the sofa, then go to the office": ("Stay a minute by the sofa, then off to the office.",),
    "follow Alice": ("Don't let Alice out of your sight.", "Don't lose sight of Alice!", "Don't let Alice get away."),
    "tell me if the cup is on the desk": ("It would put my mind at rest to know if the cup is still on the desk.",),
    "how many snacks are left on the kitchen counter": (
        "We're running low on snacks, how many are left on the kitchen counter?",
    ),
    "get the cola out of the fridge and close the fridge": ("Get the cola out of the fridge and shut it again.",),
    "open the fridge, then close the fridge": ("Go to the fridge, open it and close it again.",),
    "move the cup to the desk": ("Take Dana's cup to the desk.", "Put Dana's cup on the desk."),
    "bring Alice the cup": ("Bring Dana's cup to Alice.",),
    "is the cup on the desk?": ("Is Dana's cup on the desk?",),
    "ask Dana what she wants to drink and tell me the answer": (
        "Ask Dana what she wants to drink and tell me what she said.",
    ),
    "say hello to Dana": ("Say hello to Dana for me.",),
    "put the cup on the kitchen counter": (
        "Put the cup back where it belongs.",
        "Return the cup to its place.",
        "Put the cup back in its usual spot.",
    ),
    "move the cup to the desk, please": ("Put the cup on the desk, next to the cola.",),
    "put the cup in the refrigerator": ("Put the cup next to the cola.", "Put the cup beside the cola."),
    "please open the front door": (
        "Someone's at the front door, let them in.",
        "Alice is waiting outside the front door. Please let her in.",
    ),
    "please guide me to the office": ("I want to go to the office.", "I need to get to the office now."),
    "what is the colour of the cup": ("What colour is the cup?", "Tell me what colour the cup is."),
    "please bring me the cup from the desk": ("I forgot my cup on the desk.", "I left the cup on the desk!"),
    "take the cup": ("Take the cup and hold it.",),
    "open the fridge door": ("Open the fridge.",),
    "please close the front door": (
        "Check that the front door is closed, and close it if it isn't.",
        "See whether the front door is shut and, if not, shut it.",
    ),
    "guide me to the office, please": ("Lead the way to the office.", "Walk me to the office."),
    "bring Alice a cup": ("Bring Alice a cup, any one will do.",),
    "bring Alice the cup, please": ("Bring Alice's cup to her.",),
    "go to the office and ask the person for their name": (
        "Go to the office and ask the first person you meet for their name.",
    ),
    "tell me whether the cup is in the kitchen": ("Did I leave the cup in the kitchen?",),
    "where is the cup?": ("Have you seen the cup?",),
    "bring the cola to me in the office": (
        "I'm in the office, bring me the cola.",
        "Bring me the cola, I'm in the office.",
        "I'm in the office and I need the cola.",
    ),
    "is there any milk?": ("Do we have any milk?", "Do you still have any milk?"),
    "where is Alice?": ("Which room is Alice in?",),
    "what can you do?": ("Can you open doors?",),
    "tell Alice that lunch is ready": ("Lunch is ready, tell Alice.", "Lunch is ready. Please let Alice know."),
    "bring me the cup, then bring Alice a cup": ("Grab the cup for me and one for Alice.",),
    "put two apples on the desk": ("Fetch two apples and put them on the desk.",),
    "is the fridge open?": ("Did someone leave the fridge open?",),
    "Alice is in the office. Tell her the time": ("Find Alice. She's supposed to be in the office. Tell her the time",),
    "ask the person on the sofa which cake the person on the sofa would like and tell Alice in the kitchen": (
        "Alice, over in the kitchen, wants to know which cake the person on the sofa would like. Please find out from "
        "them and then tell her.",
    ),
    "ask Bruno in the office which bus Bruno takes and tell Alice in the kitchen": (
        "Alice wants to know which bus Bruno takes. She's in the kitchen and he's in the office, so please ask him and "
        "let her know.",
        "Alice in the kitchen is wondering which bus Bruno takes. He's in the office: put the question to him there, "
        "then tell her.",
    ),
    "ask Dana which bus Bruno takes and tell Alice": (
        "Alice wants to know which bus Bruno takes. Ask Dana and tell her.",
    ),
    "ask Bruno when Alice's bus leaves and tell Alice": (
        "Alice wants to know when Alice's bus leaves. Bruno knows, so ask him and tell her.",
    ),
    "guide Alice from the office to the kitchen, please": (
        "Alice is in the office. Please walk with her to the kitchen.",
        "Alice has arrived in the office for her interview, which is in the kitchen. Take her there, please.",
    ),
    "bring Alice in the office a cola": (
        "Alice is in the office and hasn't had a break all day. Please bring her a cola.",
        "Alice is busy in the office and has asked for a cola. Would you run it over to her?",
    ),
    "open the dishwasher, then tell me what is in the dishwasher": (
        "Open the dishwasher, look what is in it and tell me.",
    ),
    "wait for twenty seconds, then close the fridge": ("Let twenty seconds pass, and shut the fridge after that.",),
    "please follow me to the kitchen": ("I have to go to the kitchen now. Stick with me until I get there.",),
    "open the fridge, look at it, close the fridge and tell me the result": (
        "Open the fridge, look at what is in it, close it again and tell me what you saw.",
        "Open the fridge, look inside, close it again and tell me what you found.",
    ),
    "open the bedroom door": ("We'll be rolling barrels through in a moment. Could you open the bedroom door?",),
    "bring Alice in the office the cup from the desk, then come back to me": (
        "Alice is in the office and asked for the cup, which someone left on the desk. Could you take it to her? "
        "Return to me once she has it.",
        "Alice is waiting in the office for the cup, which is on the desk. After she's got it, I'd like you back here "
        "with me.",
    ),
    "ask Bruno in the office when the train leaves and tell Alice in the kitchen": (
        "Alice is in the kitchen and would like to know when the train leaves. Bruno knows; you can find out from him "
        "in the office and then pass it on to her.",
    ),
    "move the cup from the sofa to the desk": ("A visitor forgot their cup on the sofa. Drop it off at the desk.",),
    "go to the office, wait there for a minute": ("Stay in the office for a while; a minute is enough.",),
    "close the fridge, please": ("I think I forgot to shut the fridge. Would you do that for me?",),
    "ask Bruno in the office where the cup is and tell me": (
        "I'd like to know where the cup is. Bruno, who is in the office, can tell. Please find out from him and pass "
        "his answer on to me.",
    ),
    "find Alice in the office": ("Alice ought to be somewhere in the office. Would you look for her there?",),
    "open the bedroom door, then bring Alice in the bedroom the cup from the desk": (
        "Alice is in the bedroom and needs the cup, which is on the desk. Before you collect it for her, please see "
        "that the bedroom door is opened.",
    ),
    "follow me to the kitchen, please": ("I'm on my way to the kitchen. Please stay behind me until we get there.",),
    "take a snack from the cupboard and put it on the desk, please": (
        "Choose any snack out of the cupboard and leave it for them on the desk.",
    ),
    "bring me the cup from the desk, please": (
        "I need the cup for tonight's session. It's on the desk; could you go and get it for me?",
    ),
    "tell me who is in the office": ("See who is in the office and report to me.",),
    "move the cup from the sofa to the desk, then move the cola from the fridge to the desk": (
        "Put the cup from the sofa on the desk, and then put the cola from the fridge there too.",
    ),
    "open the front door, thank you": ("The guests can't get in because the front door is shut. Could you open it?",),
    "close the fridge in the kitchen": (
        "I think someone left the fridge open in the kitchen. Would you mind shutting it?",
    ),
    "open the bedroom door, please": ("A delivery is coming in, so I need the bedroom door open, please.",),
    "find a drink in the office and bring it to me": ("See if there is a drink in the office and bring it to me",),
    "find the waving person in the kitchen and answer a question": (
        "Find the waving person in the kitchen and answer a quiz",
        "The waving person in the kitchen has a question. Please go and answer it.",
    ),
}


@pytest.mark.parametrize("command, plain", [(said, plain) for plain, others in SAME.items() for said in others])
def test_other_words_the_same_plan(command, plain):
    assert planned(command) == planned(plain)


@pytest.mark.parametrize(
    "command, plan",
    [
        (
            "Greet the lady with the white blouse on the bed",
            'go_to(bed); find_person(lady_wearing_the_white_blouse); say("Hello!")',
        ),
        ("Open the window in the cellar", "refuse unknown_place"),
        ("Open the front door but keep it closed.", "refuse contradictory"),
        ("Hand Dana the cup but keep hold of it.", "refuse contradictory"),
        ("Take Dana to the sauna.", "refuse unknown_place"),
        ("Carry Dana to the office.", "refuse impossible"),
        ("Whack Dana with the spoon.", "refuse unsafe"),
        ("Bring me a gun", "refuse unsafe"),
        ("Jam Alice's hand in the front door", "refuse unsafe"),
        ("Shut the front door on her foot", "refuse unsafe"),
        ("Close the front door for the person raising their hand", "go_to(hallway); close(front_door)"),
        ("Ask Dana whether", "clarify"),
        ("Bring me the cup, but leave it on the desk.", "refuse contradictory"),
        ("Tell Professor Plum in the office that the bus is here.", "refuse unknown_person"),
        ("Let Captain Ravensworth in the office know that the bus is here.", "refuse unknown_person"),
        ("tell captain ravensworth in the office that the bus is here", "refuse unknown_person"),
        ("follow mr bean to the office", "refuse unknown_person"),
        (
            "Move the wallet from the sofa to the desk",
            "go_to(sofa); find_object(wallet); pick(wallet); go_to(desk); place(wallet, desk)",
        ),
        ("Move quickly to the desk", "go_to(desk)"),
        (
            "Tell the guy with the beard in the kitchen the time",
            'go_to(kitchen); find_person(guy_with_the_beard); say("It is {time}.")',
        ),
        ("Announce that the doors are open.", 'say("The doors are open")'),
        ("Announce in the kitchen that tea is ready.", 'go_to(kitchen); say("Tea is ready")'),
        ("Bring Bob his phone.", "refuse unknown_person"),
        ("bring bob his phone", "refuse unknown_person"),
        ("Every hour, check the sink.", "clarify"),
        ("Let the cat out.", "clarify"),
        ("Drive the tractor to the office.", "refuse impossible"),
        ("Put the cup on the desk, but leave it on the kitchen counter.", "refuse contradictory"),
        ("Give the cup to Dana, but don't let her have it.", "refuse contradictory"),
        ("Follow Alice from the office to", "clarify"),
        ("Move the coffee table into the bedroom.", "refuse impossible"),
        ("Look for Leonard in the office.", "refuse unknown_person"),
        (
            "I'm on the sofa. Bring me a cola.",
            "go_to(refrigerator); find_object(cola); pick(cola); go_to(sofa); find_person(me); hand_over(cola, me)",
        ),
        ("Bring me coffee, black, no sugar.", "clarify"),
        ("Open the front door for Bob.", "clarify"),
        ("Tell Alice that Dana's cup is in the office.", 'find_person(alice); say("Dana\'s cup is in the office")'),
        ("Tell Alice dinner's ready.", 'find_person(alice); say("Dinner\'s ready")'),
        (
            "Throw the banana peel on the sofa in the bin.",
            "go_to(sofa); find_object(banana_peel); pick(banana_peel); go_to(trash_bin); place(banana_peel, trash_bin)",
        ),
        ("Put the wallet back where it belongs.", "clarify"),
        (
            "Bring me Dana's coat from the bed",
            "go_to(bed); find_object(coat); pick(coat); find_person(me); hand_over(coat, me)",
        ),
        ("I'd like either the apple or the pear.", "clarify"),
        (
            "Tell Dana in the office that lunch is ready and guide her to the kitchen",
            'go_to(office); find_person(dana); say("Lunch is ready"); guide(dana, kitchen)',
        ),
        ("Wish Dana a nice day", 'find_person(dana); say("Have a nice day")'),
        ("Give Alice a massage", "clarify"),
        ("Take the thing to the desk", "clarify"),
        (
            "Take a cup and pass it on to Alice",
            "go_to(kitchen_counter); find_object(cup); pick(cup); find_person(alice); hand_over(cup, alice)",
        ),
    ],
)
def test_what_only_looks_alike(command, plan):
    assert planned(command) == plan


def test_a_larger_set_of_rewordings():
    """Of commands as competitions of service robots give them, each in two other wordings."""
    rewordings = json.loads((DATA / "planner_rewordings.json").read_text(encoding="utf-8"))
    planner = obedient_planner(world="arena")
    wrong = []
    for entry in rewordings:
        plan = planner.plan(entry["plain"])
        assert plan.status == "plan", entry
        wanted = _deeds(plan)
        for said in entry["said"]:
            # looking at the place first does no harm
            deeds = [deed for deed in _deeds(planner.plan(said)) if deed != "detect" or deed in wanted]
            wrong += [said] if deeds != wanted else []
    assert len(wrong) <= 36, wrong


def _deeds(plan):
    """What a plan does, without what is said and looked at in which words."""
    steps = [(step.skill, *(str(value) for value in step.args.values())) for step in plan.steps]
    steps = [step[:1] if step[0] in ("say", "detect") else step for step in steps]
    return [re.sub("_(the|an)_", "_a_", " ".join(step).replace("persons", "people")) for step in steps]


def test_quoted_words_stay_as_they_are():
    tokens = plainly(tokenize('say "one of the snacks would be great" to Alice'))
    assert [token.text for token in tokens] == ["say", "one of the snacks would be great", "to", "Alice"]


@pytest.mark.parametrize(
    "command",
    [
        "What is it? " + "Alice is here. " * 100,
        "Alice wants to know what it is. " + "Alice is here, " * 100,
        "Alice wants to know what Bruno does. " + "he is and and " * 120,
        "i would like to " + "a " * 900,
        "when he " * 240,
        ", and " * 300,
    ],
)
def test_long_repetitions_are_read_to_their_end(command):
    """A pattern that tries all ways to cut such a command would not come back."""
    assert obedient_planner().plan(command[:2000]).status in ("plan", "refuse", "clarify")


def test_any_words_go_through():
    words = "the one of which is are has to be you can find in on a it , . they who would great put number".split()
    rng = random.Random(1)
    for _ in range(3000):
        text = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 14)))
        assert all(token.low for token in plainly(tokenize(text)))
