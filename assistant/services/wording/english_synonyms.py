"""English words for the same, by which answers do not differ, and words against each other.

Synonyms raise hits; opposites only give the guard its name: no table need be complete.
"""

from __future__ import annotations

from assistant.services.wording.language import opposites, words_for

SYNONYMS = words_for(
    """
    buy purchase, begin start commence, finish end, fix repair mend, solve resolve, delete remove
    erase, create make, photo photograph picture image, movie film, child kid, doctor physician, big
    large, small little, fast quick rapid quickly rapidly, slow slowly, safe safely, help assist,
    get obtain acquire, choose pick select, show display, close shut, job occupation, disease
    illness sickness, ill sick, cheap inexpensive, expensive costly pricey, package parcel, car
    automobile, phone telephone, cellphone smartphone, folder directory, app application, repo
    repository, db database, js javascript, ts typescript, postgres postgresql, k8s kubernetes, info
    information, docs documentation, config configuration, ad advertisement advert, usa u.s.a, tv
    television, mother mom mommy mum mummy, father dad daddy, grandmother grandma, grandfather
    grandpa, happen occur, need require, use utilize, try attempt, reply respond, speak talk, live
    reside, allow permit, raise increase boost, reduce decrease lessen, improve enhance, change
    modify alter, join concatenate, rich wealthy, smart clever intelligent, difficult hard tough,
    easy simple, dangerous risky hazardous, wrong incorrect, maximum max maximal, minimum min
    minimal, inhabitant resident, country nation, medicine medication, bike bicycle, airplane plane,
    motorcycle motorbike, fridge refrigerator, trip journey, lawyer attorney, company firm, flat
    apartment, petrol gasoline, truck lorry, trash garbage rubbish, baggage luggage, quantity
    amount, advantage benefit upside pro, disadvantage drawback downside, difference distinction,
    effect impact, calculate compute, restart reboot, enable activate, disable deactivate, sofa
    couch, tap faucet, rent hire, employee worker, postpone delay, couple pair, sum total, wellbeing
    wellness, error mistake, yearly annual, student pupil, diaper nappy, main primary chief,
    vocation profession, supervisor boss, method technique way, register enroll, nearest closest
    """
)

OPPOSITES = opposites(
    """
    safe dangerous/unsafe/harmful, open/opened close/closed/shut, begin/start end/finish/stop,
    raise/increase/gain/rise reduce/decrease/lower/cut/fall/drop/lose, enable/start
    disable/stop/suspend, add remove/delete/subtract/drop, buy sell, lend borrow, best worst, better
    worse, good bad, big small/tiny, high low, long short, old new/young, fast slow, cheap
    expensive, hot/warm cold/cool, wet/moist dry, hard/difficult easy/soft, strong weak, light
    heavy/dark, rich poor, early late, first last/second, next last/previous, most least/fewest,
    more less, maximum minimum, top bottom, upper lower, increase decline, accept
    reject/decline/refuse, approve reject/decline/deny, allow/permit forbid/prohibit/ban/block/deny,
    win lose, show hide, lock unlock, mount unmount, install uninstall/remove, import export, upload
    download, upgrade downgrade, encrypt decrypt, encode decode, compress extract/decompress,
    connect disconnect, login logout, include exclude, internal external, inside outside, in out, on
    off, up down, over under, above below, before after, ascending descending, left right, north
    south, northern southern, east west, eastern western, arrival departure, arrive depart/leave,
    entrance exit, enter leave/exit, hire fire/dismiss, gain lose, tighten loosen, thicken thin,
    thick thin, wide narrow, deep shallow, freeze melt/thaw/defrost, heat cool, positive negative,
    positively negatively, advantage disadvantage, pro con, cause/causes prevent/cure, cause effect,
    push pull, read write, save discard/delete, remember forget, love hate, alive dead, full empty,
    true false, right wrong, correct incorrect/wrong, legal illegal, public private, married
    single/divorced, male female, man woman, boy girl, father mother, brother sister, husband wife,
    king queen, employer employee, buyer seller, creditor debtor, landlord tenant, teacher student,
    parent child, outgoing incoming/return, exothermic endothermic, hypertension hypotension,
    hyperthyroidism hypothyroidism, credit debit, profit loss, asset liability, supply demand,
    attack defend, continue stop, mute unmute, subscribe unsubscribe, follow unfollow, merge split,
    create/build destroy/delete, always never/sometimes, with without, all none, every no/some,
    can must, may must, should must, ripe unripe, raw cooked, fresh stale/frozen, single
    double/multiple, simple complex, major minor, maximize minimize, sunrise sunset, day night,
    summer winter, spring autumn, today tomorrow/yesterday
    """
)
