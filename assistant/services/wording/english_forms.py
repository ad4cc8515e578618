"""What form of which English word a word is, and how else it may be written."""

from __future__ import annotations

from assistant.services.wording.english_words import LOOKALIKES, VERBS, VOCABULARY
from assistant.services.wording.language import words_for
from assistant.services.wording.text import word_set

_KNOWN = VOCABULARY | LOOKALIKES

IRREGULAR = words_for(
    """
    arise arose arisen, awake awoke awoken, bear bore born borne, beat beaten, become became, begin
    began begun, bend bent, bite bit bitten, bleed bled, blow blew blown, break broke broken, breed
    bred, bring brought, build built, burn burnt, buy bought, catch caught, choose chose chosen,
    come came, creep crept, deal dealt, die died dying, dig dug, do done, draw drew drawn, dream
    dreamt, drink drank drunk, drive drove driven, eat ate eaten, fall fell fallen, feed fed, feel
    felt, fight fought, find found, flee fled, fly flew flown, forbid forbade forbidden, forget
    forgot forgotten, forgive forgave forgiven, freeze froze frozen, get got gotten, give gave
    given, go went gone goes, undergo undergoes underwent undergone, grow grew grown, hang hung,
    have has, hear heard, hide hid hidden, hold held, keep kept, know knew known, lay laid, lead
    led, lean leant, learn learnt, lend lent, lie lying lain, light lit, lose lost, make made, mean
    meant, meet met, override overrode overridden, overcome overcame, owe owed, pay paid, ride rode
    ridden, ring rang rung, rise rose risen, run ran, say said, see saw seen, seek sought, sell
    sold, send sent, sew sewn, shake shook shaken, shine shone, shoot shot, show shown, shrink
    shrank shrunk, sing sang sung, sink sank sunk, sit sat, sleep slept, slide slid, smell smelt,
    speak spoke spoken, spend spent, spill spilt, spin spun, spoil spoilt, stand stood, steal stole
    stolen, stick stuck, sting stung, strike struck, swear swore sworn, sweep swept, swell swollen,
    swim swam swum, swing swung, take took taken, teach taught, tear tore torn, tell told, think
    thought, throw threw thrown, tie tied tying, understand understood, undo undid undone, wake woke
    woken, wear wore worn, weave wove woven, win won, withdraw withdrew withdrawn, write wrote
    written, man men, woman women, child children, foot feet, tooth teeth, goose geese, mouse mice,
    person persons, analysis analyses, crisis crises, criterion criteria, diagnosis diagnoses,
    hypothesis hypotheses, thesis theses, phenomenon phenomena, bacterium bacteria, fungus fungi,
    index indices indexes, matrix matrices, vertex vertices, knife knives, wife wives, life lives,
    leaf leaves, loaf loaves, half halves, shelf shelves, thief thieves, wolf wolves, calf calves,
    potato potatoes, tomato tomatoes, hero heroes, echo echoes, mango mangoes, shoe shoes, toe toes,
    bus buses, gas gases, lens lenses, quiz quizzes
    """
)

# Looks like a form of another word, and is not, or tells the two sides of one: bored, boring.
_UNLIKE = word_set(
    """
    always aids news series species means this its his hers ours yours theirs yes us gas bus lens
    perhaps towards besides lens plus minus versus status virus bonus campus census chaos cosmos
    physics mathematics economics politics ethics statistics athletics diabetes measles rabies
    mumps scissors trousers pants shorts glasses clothes goods jeans headquarters
    bored boring interested interesting confused confusing excited exciting tired tiring surprised
    surprising annoyed annoying disappointed disappointing embarrassed embarrassing frightened
    frightening shocked shocking amazed amazing satisfied satisfying relaxed relaxing
    based bring king ring sing string spring thing nothing something anything everything morning
    evening during ceiling wedding pudding sibling wing bed red need speed seed feed weed bleed
    hundred indeed sacred naked wicked united speed seaweed
    interest interests interface less
    """
)


def base_form(word: str) -> str:
    """ "buses" is "bus", "stopped" is "stop", "children" is "child": what the word is a form of."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or word in _KNOWN or word in _UNLIKE:
        return word
    if word.endswith("s"):
        return _singular(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return _verb(word, word.removesuffix(ending), ending)
    return word


def _singular(word: str) -> str:
    if word.endswith(("ss", "us", "is", "'s")):
        return word
    if word.endswith("ies") and len(word) > 4:
        short = word[:-3] + "y"
        return short if short in _KNOWN or word[:-1] not in _KNOWN else word[:-1]
    if word.endswith("oes") and word[:-2] in _KNOWN:
        return word[:-2]
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2] if word[:-1] not in _KNOWN else word[:-1]
    return word[:-1]


def _verb(word: str, stem: str, ending: str) -> str:
    if ending == "ed" and stem.endswith("i") and stem[:-1] + "y" in VERBS:
        return stem[:-1] + "y"
    for base in (stem, stem + "e"):
        if base in VERBS:
            return base
    if len(stem) > 2 and stem[-1] == stem[-2]:
        return stem[:-1] if stem[:-1] in VERBS or stem[-1] not in "lsz" else stem
    # Only endings that need their "e" are known to have lost it; others are left as they are.
    if stem.endswith(("v", "z", "c", "u", "iat", "cat", "rat", "lat", "nat", "dat", "rg", "ng")):
        return stem + "e" if not stem.endswith("ng") else stem
    return stem if any(vowel in stem for vowel in "aeiouy") else word


def american(word: str) -> str:
    """ "colour" is "color", "organisation" is "organization"; no two words become one by it."""
    if word in _BRITISH:
        return _BRITISH[word]
    if len(word) < 5:
        return word
    for british, usual in (("isations", "izations"), ("isation", "ization"), ("ising", "izing"), ("ised", "ized"),
                           ("ises", "izes"), ("ise", "ize"), ("ysing", "yzing"), ("ysed", "yzed"),
                           ("yse", "yze")):  # fmt: skip
        if word.endswith(british):
            changed = word.removesuffix(british) + usual
            for end in ("", "s", "d", "ing", "ed", "ation", "ations"):
                if changed.removesuffix(end) in _KNOWN or changed.removesuffix(end) + "e" in _KNOWN:
                    return changed
    if "our" in word:
        changed = word.replace("our", "or")
        if changed in _KNOWN or changed.rstrip("s") in _KNOWN or base_form(changed) in _KNOWN:
            return changed if word not in _KNOWN and base_form(word) not in _KNOWN else word
    return word


_BRITISH = words_for(
    """
    center centre, centers centres, theater theatre, theaters theatres, meter metre, meters metres,
    liter litre, liters litres, kilometer kilometre, kilometers kilometres, centimeter centimetre,
    centimeters centimetres, millimeter millimetre, millimeters millimetres, fiber fibre, caliber
    calibre, catalog catalogue, dialog dialogue, program programme, programs programmes, gray grey,
    aluminum aluminium, sulfur sulphur, defense defence, offense offence, license licence, practice
    practise, practicing practising, check cheque, checks cheques, jewelry jewellery, traveler
    traveller, traveling travelling, traveled travelled, canceled cancelled, canceling cancelling,
    labeled labelled, labeling labelling, modeling modelling, modeled modelled, fulfill fulfil,
    enroll enrol, skillful skilful, install instal, airplane aeroplane, diarrhea diarrhoea, anemia
    anaemia, anemic anaemic, estrogen oestrogen, pediatric paediatric, hemoglobin haemoglobin,
    leukemia leukaemia, yogurt yoghurt yoghourt, whiskey whisky, tire tyre, tires tyres, plow
    plough, pajamas pyjamas, aging ageing, judgment judgement, mom mum, math maths, skeptical
    sceptical, maneuver manoeuvre, mold mould, mustache moustache, ax axe, doughnut donut, disk
    disc, among amongst, while whilst, toward towards, learned learnt
    """
)

MISSPELT = words_for(
    """
    receive recieve, received recieved, separate seperate, separately seperately, definitely
    definately definitly, definition defintion definiton, address adress, occurred occured,
    occurrence occurence, tomorrow tommorow tommorrow tomorow, accommodate accomodate, accommodation
    accomodation, until untill, calendar calender, grammar grammer, government goverment,
    environment enviroment, necessary neccessary necesary, language langauge lenguage, beginning
    begining, believe beleive, achieve acheive, which wich whcih, what waht wat whta, how hwo, the
    teh hte, with wiht, does deos, because becuase becasue, their thier, there ther, people poeple
    peopel, weird wierd, friend freind, height hieght heigth, length lenght, width widht, weight
    wieght, library libary, restaurant restaurent resturant, restaurants restaurents resturants,
    pronunciation pronounciation, maintenance maintainance maintenence, schedule schedual, business
    buisness bussiness, colleague collegue, symptoms symtoms, temperature temprature temperture,
    vacuum vaccum vacum, medicine medecine, recommend recomend reccomend, successful succesful
    successfull, password pasword
    """
)
