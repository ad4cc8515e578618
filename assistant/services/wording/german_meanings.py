"""The small words of German: what asks, denies, counts and relates, and what says nothing."""

from __future__ import annotations

from collections.abc import Mapping

from assistant.services.wording.language import expansions, meanings, words_for
from assistant.services.wording.meaning import Guard
from assistant.services.wording.text import word_list, word_set

TELLTALES = word_set(
    """
    der die das den dem des ein eine einen einem einer eines ist sind waren bin wie was wo wer
    wen wem wann warum wieso weshalb welche welcher welches welchen welchem ich mein meine meinen
    meiner meinem und oder für fuer mit nicht kein keine keinen kann können koennen man von vom zu
    zum zur im auf bei beim ohne gegen über ueber unter nach aus durch zwischen muss müssen darf
    dürfen soll sollte gibt es wird werden hat haben habe bitte wenn falls dass ob sich mir uns
    erkläre nenne zeige gib schreibe bedeutet heisst hilft kostet alle viele viel liegt
    """
)

EXPANSIONS = expansions(
    """
    gibt's gibt es, gibts gibt es, geht's geht es, wie's wie es, was'n was, zum zu dem, zur zu der,
    im in dem, ins in das, am an dem, ans an das, beim bei dem, vom von dem, aufs auf das, fürs für
    das, ums um das, durchs durch das, übers über das, wieviel wie viel, wieviele wie viel, viele
    viel, vielen viel, montags an montag, dienstags an dienstag, mittwochs an mittwoch, donnerstags an donnerstag,
    freitags an freitag, samstags an samstag, sonntags an sonntag, morgens an morgen, mittags an
    mittag, abends an abend, nachts in nacht, wieso warum, weshalb warum
    """
)

EMPTY = word_set(
    """
    der die das des ein eine einen einem einer eines bitte eigentlich genau wirklich denn doch
    ja so es ist sind bin war waren sei wäre ähm äh also halt überhaupt tatsächlich
    """
)
FILLERS = word_set(
    "bitte eigentlich genau wirklich mal denn doch ähm äh halt überhaupt tatsächlich"
)

MEANINGS = {
    **meanings(
        Guard.NEGATION,
        """
        nicht, kein keine keinen keinem keiner keines, nie niemals, ohne, weder, niemand niemanden
        niemandem, nichts, nirgends nirgendwo, kaum, selten
        """,
    ),
    **meanings(
        Guard.QUESTION,
        """
        was, wer, wen, wem, wessen, wann, wo, wohin, woher, warum, wie, wozu, womit, woran, worin,
        woraus, wodurch, welche welcher welches welchen welchem, ob
        """,
    ),
    **meanings(
        Guard.SCOPE,
        """
        alle alles allen aller, jede jeder jedes jeden jedem, einige einigen einiger, manche manchen
        mancher, nur lediglich, erste erster erstes ersten erstem, letzte letzter letztes letzten
        letztem, nächste nächster nächstes nächsten nächstem, vorige voriger voriges vorigen, meisten
        meiste meistens, wenigsten wenigste, beste bester bestes besten, schlechteste schlechtester
        schlechtesten, mehr, weniger, besser, schlechter, viel, wenig wenige wenigen, ganze ganzen
        ganzer ganzes ganz, halbe halben halber halbes halb, beide beiden beider, höchstens, mindestens,
        immer, oft häufig, manchmal, normalerweise üblicherweise gewöhnlich, auch, noch, schon bereits,
        mehrere mehreren mehrerer, andere anderer anderes anderen anderem, gleiche gleicher gleiches
        gleichen, sehr,, genug, fast beinahe, pro, einzige einziger einziges einzigen, etwas, jemand
        jemanden jemandem, je
        """,
    ),
    **meanings(
        Guard.MODALITY,
        """
        können kann kannst könnt konnte könnte könnten könntest, dürfen darf darfst dürft durfte dürfte
        dürften, müssen muss musst müsst musste müsste müssten, sollen soll sollst sollte sollten,
        wollen will willst wollte möchte möchten
        """,
    ),
    **meanings(
        Guard.PERSON,
        """
        ich man, mich, mir, mein meine meinen meinem meiner meines, du, dich, dir, dein deine deinen
        deinem deiner deines, wir, uns, unser unsere unseren unserem unserer, er, ihn, ihm, sie, ihr
        ihre ihren ihrem ihrer ihres, sein seine seinen seinem seiner seines, ihnen, sich
        """,
    ),
    **meanings(
        Guard.RELATION,
        """
        von, in, an, auf, bei, mit, nach, zu, für, gegen, über, unter, vor, hinter, neben, zwischen,
        durch, um, aus, ab, bis, seit, während, wegen, trotz, statt anstatt anstelle, als, und, oder,
        aber, wenn falls sofern, weil da, dass, damit, bevor, nachdem, den, dem, ausser,, innerhalb,
        ausserhalb
        """,
    ),
    **meanings(
        Guard.TIME,
        """
        heute, morgen, gestern, übermorgen, vorgestern, jetzt aktuell derzeit momentan gerade, montag
        montags, dienstag dienstags, mittwoch mittwochs, donnerstag donnerstags, freitag freitags,
        samstag samstags sonnabend, sonntag sonntags, januar jänner, februar, märz, april, mai, juni,
        juli, august, september, oktober, november, dezember, frühling frühjahr, sommer, herbst, winter,
        früh, mittag mittags, vormittag vormittags, nachmittag nachmittags, abend abends, nacht nachts,
        tag tage tagen, tagsüber, woche wochen, wochenende, monat monate monaten, quartal quartale, jahr
        jahre jahren jahres, jahrzehnt, jahrhundert, stunde stunden, minute minuten, uhr, täglich,
        wöchentlich, monatlich, jährlich, später, früher, bald
        """,
    ),
    **meanings(
        Guard.NUMBER,
        """
        prozent percent, euro euros eur, dollar, franken, cent, kilometer km, meter metern, zentimeter
        cm, millimeter mm, meile meilen, kilogramm kg kilo, gramm, milligramm mg, liter litern,
        milliliter ml, grad degree, celsius, fahrenheit, sekunde sekunden, dutzend, esslöffel el,
        teelöffel tl, tasse tassen
        """,
    ),
}

MOVERS = word_set(
    """
    in an auf bei mit nach von zu für gegen über unter vor während seit wenn weil bevor nachdem aus
    ab bis durch wegen trotz statt
    """
)

_UNITS = word_list("null eins zwei drei vier fünf sechs sieben acht neun")
_TENS = word_list("zwanzig dreissig vierzig fünfzig sechzig siebzig achtzig neunzig")


def _numbers() -> Mapping[str, int]:
    numbers = {word: value for value, word in enumerate(_UNITS)}
    numbers |= {
        word: 10 + value
        for value, word in enumerate(
            word_list(
                "zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn"
            )
        )
    }
    for tens, word in enumerate(_TENS, 2):
        numbers[word] = 10 * tens
        for value, unit in enumerate(_UNITS[1:], 1):
            numbers[f"{unit.removesuffix('s') if unit == 'eins' else unit}und{word}"] = (
                10 * tens + value
            )
    for value, unit in enumerate(_UNITS[2:], 2):
        numbers[f"{unit}hundert"] = 100 * value
        numbers[f"{unit}tausend"] = 1000 * value
    return numbers | {
        "hundert": 100,
        "einhundert": 100,
        "tausend": 1000,
        "eintausend": 1000,
        "zehntausend": 10_000,
        "hunderttausend": 100_000,
        "million": 10**6,
        "millionen": 10**6,
        "mio": 10**6,
        "milliarde": 10**9,
        "milliarden": 10**9,
    }


NUMBERS = _numbers()  # "drei mal vier" multiplies

ORDINALS = words_for(
    """
    2nd zweite zweiter zweites zweiten, 3rd dritte dritter drittes dritten, 4th vierte vierter
    viertes vierten, 5th fünfte fünfter fünftes fünften, 6th sechste sechster sechsten, 7th siebte
    siebter siebten, 8th achte achter achten, 9th neunte neunter neunten, 10th zehnte zehnter
    zehnten
    """
)

MONTHS = {
    month: month
    for month in (
        word_list(
            "januar februar märz april mai juni juli august september oktober november dezember"
        )
    )
}
