"""The small words of English: what asks, denies, counts and relates, and what says nothing."""

from __future__ import annotations

from assistant.services.wording.language import expansions, meanings, values, words_for
from assistant.services.wording.meaning import Guard, Meaning
from assistant.services.wording.text import word_list, word_set

TELLTALES = word_set(
    """
    the is are what how do does did of to and for with from which who why when where can could
    should would will my your this that there it its be been was were have has if or not by about
    i you we they at explain describe please give write tell name list show what's how's don't isn't can't
    """
)

EXPANSIONS = {
    **expansions(
        """
        can't can not, cannot can not, cant can not, won't will not, wont will not, shan't shall not,
        ain't is not, dont do not, doesnt does not, didnt did not, isnt is not, arent are not, shouldnt
        should not, wouldnt would not, couldnt could not, i'm i am, im i am, i've i have, i'd i would,
        i'll i will, you're you are, you've you have, you'd you would, you'll you will, we're we are,
        we've we have, we'd we would, we'll we will, they're they are, they've they have, they'd they
        would, they'll they will, it'll it will, it'd it would, let's let us, what're what are, who're
        who are, how'd how did, where'd where did, gonna going to, wanna want to, gotta must, lemme let
        me, gimme give me, thx thanks, pls please, plz please, okay ok, u.s usa, u.k uk, oclock o'clock
        """
    ),
    **{
        f"{verb}n't": (verb, "not")
        for verb in word_list(
            "do does did is are was were has have had should would could must need might"
        )
    },
    **{
        f"{word}'s": (word, "is")
        for word in word_list(
            "what who how where when why that there here it he she this everything"
        )
    },
}

EMPTY = word_set(
    """
    a an the there please kindly actually really exactly basically simply properly anyway
    um uh hmm erm o'clock 's
    """
)
FILLERS = word_set("actually really exactly basically simply properly anyway anyways please kindly")
AUXILIARIES = word_set("is are am was were be been being do does did")

MEANINGS = {
    **meanings(
        Guard.NEGATION,
        """
        not, never, neither, nor, no, none, nobody, nothing, nowhere, without, non, lack lacks lacking
        lacked, hardly barely scarcely, seldom rarely
        """,
    ),
    **meanings(
        Guard.QUESTION,
        """
        what which whats, who whom, whose, when, where, why, how, whether
        """,
    ),
    **meanings(
        Guard.SCOPE,
        """
        all, every each, any, anyone anybody, anything, some, someone somebody, something, only solely,
        most mostly, least, more, less fewer, many, much, few, best, worst, better, worse, first, last,
        next, both, half, whole entire, part partly, several, other another, else, same, always, often
        frequently, sometimes occasionally, usually normally generally typically, also, even, still,
        again, already, yet, too, very extremely, enough sufficient, almost nearly, exclusively, top,
        bottom, single, once, twice, just, main, per, ever
        """,
    ),
    **meanings(
        Guard.MODALITY,
        """
        can could, may might, must, should ought, shall
        """,
    ),
    **meanings(
        Guard.PERSON,
        """
        i, me, my, mine, you, your yours, we, us, our ours, he, him, his, she, her hers, it, its, they,
        them, their theirs, myself, yourself, himself, herself, itself
        """,
    ),
    **meanings(
        Guard.RELATION,
        """
        of, in inside, on, at, to into, onto, toward, from, for, with using, by, after, before, during,
        while, until till, since, between, among, against, about regarding concerning, under beneath,
        below, over, above, through via, across, near, behind, beside, outside, out, off, up, down,
        around, along, than, as, like, and, or, but, if, because, unless, although though, except,
        instead, versus vs, that, within, despite, throughout, upon
        """,
    ),
    **meanings(
        Guard.TIME,
        """
        today, tomorrow, yesterday, tonight, now nowadays, ago, later, earlier, soon, monday mondays,
        tuesday tuesdays, wednesday wednesdays, thursday thursdays, friday fridays, saturday saturdays,
        sunday sundays, january jan, february feb, march, april,  june, july, august, september
        sept, october oct, november nov, december dec, spring, summer, autumn, winter, morning mornings,
        noon midday, afternoon afternoons, evening evenings, night nights, midnight, day days, week
        weeks, weekend weekends, weekday weekdays, month months, quarter quarters, year years, decade
        decades, century centuries, hour hours, minute minutes, am, pm, bc bce, ad ce, daily, weekly,
        monthly, yearly annually annual
        """,
    ),
    **meanings(
        Guard.NUMBER,
        """
        percent, dollar dollars, euro euros eur, pound pounds, yen, cent cents, usd, gbp, kilometer
        kilometers km kms, meter meters, centimeter centimeters cm, millimeter millimeters mm, mile
        miles mi, foot feet ft, inch inches, yard yards, kilogram kilograms kg kgs kilo kilos, gram
        grams, milligram milligrams mg, lb lbs, ounce ounces oz, ton tons, tonne tonnes, liter liters,
        milliliter milliliters ml, gallon gallons, cup cups, tablespoon tablespoons tbsp, teaspoon
        teaspoons tsp, degree degrees, celsius, fahrenheit, kelvin, seconds sec secs, kb kilobyte
        kilobytes, mb megabyte megabytes, gb gigabyte gigabytes, tb terabyte terabytes, byte bytes, bit
        bits, dozen dozens, mph, km/h kmh kph
        """,
    ),
}
MEANINGS["a-"] = Meaning("a", Guard.NAME)  # an apple is not Apple
MEANINGS["be"] = Meaning("be", Guard.WORD_ORDER)  # done to it, not by it
MEANINGS["one"] = Meaning("1", Guard.NUMBER)

MOVERS = word_set(
    """
    in on at to from for with by after before during while until since against about under below over
    above through without when where if because unless
    """
)

NUMBERS = values(
    """
    0 zero, 1 one, 2 two, 3 three, 4 four, 5 five, 6 six, 7 seven, 8 eight, 9 nine, 10 ten, 11
    eleven, 12 twelve, 13 thirteen, 14 fourteen, 15 fifteen, 16 sixteen, 17 seventeen, 18 eighteen,
    19 nineteen, 20 twenty, 30 thirty, 40 forty fourty, 50 fifty, 60 sixty, 70 seventy, 80 eighty,
    90 ninety, 100 hundred, 1000 thousand k, 1000000 million mio, 1000000000 billion bn
    """
)

ORDINALS = words_for(
    """
    2nd second, 3rd third, 4th fourth, 5th fifth, 6th sixth, 7th seventh, 8th eighth, 9th ninth,
    10th tenth, 11th eleventh, 12th twelfth, 19th nineteenth, 20th twentieth, 21st twenty-first,
    first 1st
    """
)

MONTHS = {
    month: month
    for month in word_list(
        "january february march april may june july august september october november december"
    )
}
