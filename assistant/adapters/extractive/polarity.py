"""How favourable the words of an English sentence are, negations and contrasts considered."""

from __future__ import annotations

from assistant.adapters.extractive.words import WORD, word_set

_FAVOURABLE = word_set(
    """
    admirable adorable adore amaze amazed amazing appreciate appreciated attractive awesome
    beautiful beautifully beloved best better bless brilliant brilliantly celebrate charm charming
    cheerful clever comfortable congratulations convenient courteous cozy creative cute dazzling
    delicious delight delighted delightful easy effective efficient elegant elegantly enjoy
    enjoyable enjoyed enthusiastic excellent excellently exceptional excited exciting exquisite
    fabulous fantastic favorite favourite fine flawless flawlessly fond friendly fun funny
    generous gentle glad glorious good gorgeous graceful grateful great greatly happily happy
    heavenly helpful honest ideal impress impressed impressive improved improvement incredible
    innovative inspiring intuitive joy joyful kindly love loved lovely loves loving loyal lucky
    magnificent marvellous marvelous masterpiece memorable moving neat nice nicely outstanding
    perfect perfection perfectly phenomenal pleasant pleasantly pleased pleasure polite positive
    praise precious prompt promptly proud recommend recommended refreshing relaxed relaxing
    reliable reliably relieved remarkable respectful rewarding safe satisfied satisfying smile
    smooth smoothly splendid stellar stunning succeed success successful super superb supportive
    sweet talented tasty terrific thank thankful thanks thoughtful thrilled tidy trustworthy
    valuable welcoming win won wonderful wonderfully worth worthwhile wow yummy
    """
)
_UNFAVOURABLE = word_set(
    """
    abuse abysmal afraid aggressive angry annoyed annoying anxious appalling arrogant ashamed
    atrocious avoid awful awkward bad badly blame bland bored boring broke broken bug buggy
    careless cheat cheated clumsy complain complaint complicated confused confusing crap crash
    crashed crashes crashing creepy cruel cumbersome damage damaged dangerous defect defective
    delay delayed depressing desperate dirty disappoint disappointed disappointing disappointment
    disaster disastrous disgust disgusted disgusting dishonest dismal dissatisfied dreadful dull
    embarrassed embarrassing error errors expensive fail failed fails failure fake faulty fear
    feared filthy flawed flimsy fraud freezes frustrated frustrating frustration garbage greasy
    gross grumpy guilty harm hate hated hates hideous horrendous horrible horrid hurt hurts
    ignored impolite impossible inadequate incompetent inconvenient incorrect inferior insult
    insulted insulting irritating junk lack lacks laggy lame late lazy lied lost lousy mad
    mediocre mess messy miserable misery misleading missing mistake mistakes nasty nightmare noise
    noisy nuisance obnoxious offended offensive outage outdated outrageous overpriced pain painful
    pathetic pointless poor poorly problem problems rash refuse refused refuses regret regrets
    regrettable ridiculous rip-off rotten rubbish rude ruin ruined ruins sad sadly scam scared
    shame shameful shoddy sick sloppy slow sorry stale stink stinks struggle stupid suffer
    suffered tasteless tedious terrible terribly terrified tired tiresome trouble troubles ugly
    unacceptable unbearable uncomfortable unfair unfortunate unfortunately unfriendly unhappy
    unhelpful unpleasant unprofessional unreliable unresponsive unsafe unusable upset useless vile
    violent vulgar warped waste wasted weird worse worst worthless wrong
    """
)
_NEGATIONS = word_set(
    """
    not no never nothing nobody none neither nor without hardly barely scarcely cannot
    """
)
_CONTRASTS = word_set(
    """
    but yet however although though nevertheless nonetheless
    """
)

# Source of the three: C. J. Hutto and E. Gilbert 2014, VADER,
# https://doi.org/10.1609/icwsm.v8i1.14550
_NEGATED = -0.74
_BEFORE_CONTRAST = 0.5
_AFTER_CONTRAST = 1.5
_NEGATION_REACH_WORDS = 3


def polarity(sentence: str) -> float:
    """The favourable words less the unfavourable ones; 0 where there are none or they balance.

    A negation among the three words before turns a word round. What follows the last "but"
    counts three times as much as what precedes it.
    """
    words = [word[0].lower().replace("’", "'") for word in WORD.finditer(sentence)]
    contrast = max((place for place, word in enumerate(words) if word in _CONTRASTS), default=None)
    total = 0.0
    for place, word in enumerate(words):
        value = float((word in _FAVOURABLE) - (word in _UNFAVOURABLE))
        if not value:
            continue
        before = words[max(0, place - _NEGATION_REACH_WORDS) : place]
        if any(other in _NEGATIONS or other.endswith("n't") for other in before):
            value *= _NEGATED
        # A sentence that begins with "Although" has its contrast at the comma, unknown here.
        if contrast:
            value *= _AFTER_CONTRAST if place > contrast else _BEFORE_CONTRAST
        total += value
    return total
