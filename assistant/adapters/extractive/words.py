"""Words, what they have in common, and which of them carry meaning. The lists are English."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_](?:[^\W_]|[-'’._](?=[^\W_]))*+")
"""Letters and digits; a hyphen, apostrophe, dot or underscore may join two of them: "3.14"."""


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as running text."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    """
    a an the this that these those such same other another each every either neither both all any
    some few many much more most several no none not nor only own so than too very just also even
    still yet already again ever never always whatever whichever whoever often sometimes usually
    once twice here there where when while whenever why how what which who whom whose whether if
    unless until till because since although though however therefore thus hence moreover
    furthermore meanwhile nevertheless instead otherwise and or but as at by for from in into of
    off on onto out over per to toward towards under up upon with within without via about above
    across after against along among around before behind below beneath beside besides between
    beyond despite down during except inside like near outside past through throughout i me my
    mine myself you your yours yourself he him his himself she her hers herself it its itself we
    us our ours ourselves they them their theirs themselves one ones somebody someone something
    anybody anyone anything nobody nothing everybody everyone everything am is are was were be
    been being have has had having do does did doing done can could may might must shall should
    will would ought cannot can't don't doesn't didn't won't wouldn't isn't aren't wasn't weren't
    haven't hasn't hadn't couldn't shouldn't it's i'm i've i'd i'll you're you've you'll we're
    we've we'll they're they've that's there's let's e.g i.e etc
    """
)

VAGUE_WORDS = STOP_WORDS | word_set(
    """
    say says said saying tell tells told ask asks asked go goes going gone went come comes came
    coming get gets got getting give gives given gave giving take takes taken took taking make
    makes made making keep keeps kept put puts let lets need needs needed want wants wanted use
    uses used using see sees seen saw look looks looked find finds found know knows known knew
    think thinks thought feel feels felt become becomes became begin begins began begun start
    starts started starting stop stops stopped end ends ended ending show shows shown showed seem
    seems seemed appear appears appeared happen happens happened help helps helped try tries tried
    leave leaves left turn turns turned bring brings brought hold holds held run runs ran set sets
    stay stays stayed remain remains remained allow allows allowed include includes included
    including follow follows followed following mean means meant call calls called calling cause
    causes caused expect expects expected agree agrees agreed decide decides decided work works
    worked working add adds added lead leads led pay pays paid buy buys bought sell sells sold
    send sends sent write writes wrote written read reads open opens opened close closes closed
    move moves moved live lives lived stand stands stood rise rises rose risen fall falls fell
    fallen grow grows grew grown lose loses lost reach reaches reached return returns returned
    forget forgets forgot remember remembers remembered hear hears heard meet meets met speak speaks
    spoke talk talks talked believe believes believed hope hopes hoped depend depends recommend
    recommends suggest suggests announce announces
    change changes changed explain explains explained describe describes described contain
    contains contained require requires required apply applies applied choose chooses chose chosen
    wait waits waited lie lies lay press presses pressed carry carries carried offer offers
    offered provide provides provided new old good bad better best worse worst great big small
    large little long short high low early late later last next first second third recent recently
    former main major minor whole full able likely possible important certain different various
    general usual common real right wrong true sure clear easy hard simple own enough less least
    half two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million
    millions billion dozen roughly nearly almost quite rather indeed perhaps maybe soon now then
    today yesterday tomorrow away back together apart else well far ago thing things way ways lot
    kind sort case cases part parts fact example place number amount time times day days week
    weeks month months year years hour hours minute minutes second seconds morning evening night
    weekend monday tuesday wednesday thursday friday saturday sunday january february march april
    may june july august september october november december spring summer autumn winter people
    person man men woman women somewhat percent please thank thanks dear regards hello mr mrs ms
    dr prof sir madam
    """
)

_NEVER_STEMMED = frozenset({"news", "series", "species"})


def stem(word: str) -> str:
    """The word folded to lower case, without plural and possessive: "Policies'" is "policy"."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    if len(word) <= 3 or not word.endswith("s") or word in _NEVER_STEMMED:
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word if word.endswith(("ss", "us", "is")) else word[:-1]


def root(word: str) -> str:
    """The stem without a verb's ending: "sleeps", "sleeping" and "sleep" have the same one."""
    word = stem(word)
    for ending in ("ing", "ed", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


def content_stems(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, repeats included."""
    return [stem(word[0]) for word in WORD.finditer(text) if word[0].lower() not in STOP_WORDS]
