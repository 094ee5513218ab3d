"""Random worlds: rooms, places, things, people and doors out of long word lists, some with odd or made-up names.

In: a seeded `random.Random`. Out: a `World` as the planner loads it. None of the worlds of the test data is a source.
"""

from __future__ import annotations

import random

from llm_ros.planner.world import Category, Location, World

ROOMS = (
    "kitchen living_room bedroom office hallway bathroom dining_room garage cellar "
    "attic garden balcony study library nursery "
    "playroom laundry pantry lobby foyer classroom gym cafeteria storage studio greenhouse workshop corridor ward "
    "operating_room lab meeting_room conference_hall break_room copy_room server_room chapel sauna terrace porch "
    "guest_room sun_room music_room trophy_room cockpit galley cabin engine_room bridge hangar stable barn dairy shop "
    "showroom checkout_area bakery butchery cinema box_office backstage dressing_room green_room vestry sacristy "
    "treatment_room day_room reading_room map_room vault tower kiosk canteen bar lounge patio mud_room utility_room"
).split()
PLACES = (
    "table desk shelf cabinet drawer counter sofa armchair bed nightstand "
    "wardrobe dresser bookcase fridge freezer oven "
    "stove microwave dishwasher sink bathtub washing_machine dryer side_table "
    "coffee_table dining_table workbench tool_rack "
    "shoe_rack coat_hook umbrella_stand window_sill mantelpiece fireplace piano "
    "tv_stand trolley cart locker safe bench stool "
    "high_chair crib cradle toy_box hamper laundry_basket trash_can recycling_bin bar_counter display_case vitrine "
    "whiteboard printer copier filing_cabinet mailbox reception_desk ticket_counter conveyor pallet crate barrel rack "
    "spice_rack wine_rack bread_box tray sideboard buffet serving_hatch "
    "vending_machine water_cooler aquarium terrarium "
    "flower_bed planter tool_shed easel lectern pulpit altar hospital_bed "
    "wheelchair drip_stand examination_couch gurney "
    "charging_station dock treadmill mat hammock swing rocking_chair ottoman chest trunk pigeonhole kitchen_island "
    "corner_table glass_table low_shelf top_shelf long_bench round_stool wall_hook key_board notice_board picnic_table"
).split()
THINGS = {
    "drinks": "drink: water_bottle cola lemonade coffee tea milk_carton orange_juice "
    "beer wine cocoa smoothie ginger_ale espresso",
    "fruits": "fruit: apple banana pear peach mango kiwi melon grapes plum cherry pineapple fig apricot lime",
    "snacks": "snack: crisps pretzel cookie chocolate_bar popcorn peanuts cracker muffin doughnut raisins rice_cake",
    "dishes": "dish: plate bowl mug glass saucer jug teapot platter soup_bowl egg_cup",
    "cutlery": "piece_of_cutlery: fork knife spoon ladle spatula whisk chopsticks tongs",
    "tools": "tool: hammer screwdriver wrench pliers drill saw chisel spirit_level tape_measure file clamp",
    "toys": "toy: teddy_bear ball doll puzzle kite yo_yo toy_car building_blocks spinning_top board_game",
    "books": "book: novel atlas cookbook dictionary comic diary encyclopedia picture_book",
    "stationery": "office_item: pencil pen ruler eraser notebook stapler envelope "
    "paper_clip marker glue_stick scissors folder",
    "clothes": "garment: scarf glove sock hat belt jacket_liner slipper raincoat bathrobe tie",
    "medicines": "medicine: aspirin plaster cough_syrup ointment vitamin_pills inhaler thermometer bandage_roll",
    "cleaning_products": "cleaning_product: sponge bucket brush detergent "
    "mop_head dustpan rag bleach_bottle soap broom",
    "electronics": "device: phone tablet charger headphones remote_control camera "
    "flashlight keyboard mouse_pad power_bank",
    "vegetables": "vegetable: carrot potato onion tomato cucumber leek spinach pumpkin radish pepper",
    "linens": "linen: towel pillow blanket bed_sheet napkin tablecloth washcloth cushion duvet",
    "instruments": "instrument: violin flute drumstick guitar trumpet triangle recorder",
    "parts": "part: bolt nut washer gear spring bearing valve gasket fuse cable",
    "keepsakes": "keepsake: photo_frame medal trophy postcard vase candle music_box letter_opener",
    "breakfast_things": "breakfast_thing: cereal yoghurt toast honey_jar jam_jar butter omelette croissant bagel",
    "garden_things": "garden_thing: watering_can seed_packet flower_pot trowel rake_head hose garden_gloves",
}
PEOPLE = (
    "anna ben carla dmitri elena farid gina hugo irene jamal karin liam mona nikhil "
    "olga pedro qing rosa sven tara uwe vera "
    "walter xenia yusuf zoe amadou birgit cem dora erik fiona goran heidi ivan julia "
    "kofi lena mateo nadia otto paula rashid "
    "sophie tom ursula victor wendy akira bianca claude daria emil florian greta hassan ingrid jonas kira lorenzo mei "
    "norbert oscar priscilla quentin renata samir thea ulrich valeria wim yara "
    "zane alma boris chiara dylan esther felix "
    "gloria henrik iris jorge keiko lukas maja nils orla piotr rhea stefan talia umberto violet wanda aaron beth craig"
).split()
GESTURES = (
    "waving_person person_raising_their_left_arm person_raising_their_right_arm person_pointing_to_the_left "
    "person_pointing_to_the_right"
).split()
POSES = "sitting_person standing_person lying_person".split()
CLOTHES = "t_shirt shirt blouse sweater coat jacket dress hoodie uniform apron suit cap".split()
COLORS = "red blue green yellow black white gray orange pink brown purple".split()
_SYLLABLES = "ba ko ri tu zen mo la vi sta kel or no fi ga du pra xi wo em ta ru jo shi".split()
_QUALIFIERS = (
    "big small old new left right upper lower wooden metal blue red green north south east west main front back".split()
)


def made_up(rng: random.Random) -> str:
    """A word that is none."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3)))


def random_world(rng: random.Random) -> World:
    """A world of 3 to 8 rooms."""
    rooms = tuple(_odd(rng, name) for name in rng.sample(ROOMS, rng.randint(3, 8)))
    names: list[str] = []
    for name in rng.sample(PLACES, rng.randint(6, 18)):
        if rng.random() < 0.15:
            name = f"{rng.choice(_QUALIFIERS)}_{name}"
        names.append(_odd(rng, name))
    kinds = rng.sample(list(THINGS), rng.randint(3, 7))
    locations = {
        name: Location(name, rng.choice(rooms), rng.random() < 0.9)
        for name in dict.fromkeys(names)
        if name not in rooms
    }
    categories = {}
    for kind in kinds:
        singular, _, objects = THINGS[kind].partition(": ")
        chosen = rng.sample(objects.split(), rng.randint(3, min(7, len(objects.split()))))
        categories[kind] = Category(kind, singular, tuple(_odd(rng, one) for one in chosen))
        holder = rng.choice(list(locations))
        if rng.random() < 0.7 and not locations[holder].holds:
            locations[holder] = Location(holder, locations[holder].room, locations[holder].placement, (kind,))
    taken = {*rooms, *locations}
    objects = {one: None for category in categories.values() for one in category.objects if one not in taken}
    doors = {}
    if rng.random() < 0.8:
        for name in rng.sample(
            ["front_door", "back_door", "side_door", "glass_door", "fire_door", "cellar_door"], rng.randint(1, 3)
        ):
            doors[name] = tuple(rng.sample(rooms, rng.randint(1, 2)))
    people = ("me", *(made_up(rng) if rng.random() < 0.08 else name for name in rng.sample(PEOPLE, rng.randint(4, 9))))
    descriptions = {
        "gestures": tuple(rng.sample(GESTURES, rng.randint(2, 5))),
        "poses": tuple(rng.sample(POSES, rng.randint(1, 3))),
        "clothes": tuple(rng.sample(CLOTHES, 5)),
        "colors": tuple(rng.sample(COLORS, 6)),
    }
    return World(rooms, locations, doors, categories, objects, tuple(dict.fromkeys(people)), descriptions)


def _odd(rng: random.Random, name: str) -> str:
    roll = rng.random()
    if roll < 0.03:
        return made_up(rng)
    return f"{name}_{rng.randint(1, 4)}" if roll < 0.05 else name
