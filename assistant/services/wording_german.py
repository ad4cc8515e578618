"""German: what asks, denies, relates and says nothing, and what are other words for the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.services.wording_german_words import (
    IRREGULAR_VERBS,
    MISSPELT,
    VERB_STEMS,
    VOCABULARY,
    base_form,
    fold,
)
from assistant.services.wording_language import (
    Language,
    Tense,
    expansions,
    meanings,
    opposites,
    words_for,
)
from assistant.services.wording_meaning import Guard
from assistant.services.wording_phrases import read_phrases
from assistant.services.wording_text import BREAKS, word_list, word_set

_TELLTALES = word_set(
    """
    der die das den dem des ein eine einen einem einer eines ist sind waren bin wie was wo wer
    wen wem wann warum wieso weshalb welche welcher welches welchen welchem ich mein meine meinen
    meiner meinem und oder für fuer mit nicht kein keine keinen kann können koennen man von vom zu
    zum zur im auf bei beim ohne gegen über ueber unter nach aus durch zwischen muss müssen darf
    dürfen soll sollte gibt es wird werden hat haben habe bitte wenn falls dass ob sich mir uns
    erkläre nenne zeige gib schreibe bedeutet heisst hilft kostet alle viele viel liegt
    """
)

_EXPANSIONS = expansions(
    """
    gibt's gibt es, gibts gibt es, geht's geht es, wie's wie es, was'n was, zum zu dem, zur zu der,
    im in dem, ins in das, am an dem, ans an das, beim bei dem, vom von dem, aufs auf das, fürs für
    das, ums um das, durchs durch das, übers über das, wieviel wie viel, wieviele wie viel, viele
    viel, vielen viel, montags an montag, dienstags an dienstag, mittwochs an mittwoch, donnerstags an donnerstag,
    freitags an freitag, samstags an samstag, sonntags an sonntag, morgens an morgen, mittags an
    mittag, abends an abend, nachts in nacht, wieso warum, weshalb warum
    """
)

_EMPTY = word_set(
    """
    der die das des ein eine einen einem einer eines bitte eigentlich genau wirklich denn doch
    ja so es ist sind bin war waren sei wäre ähm äh also halt überhaupt tatsächlich
    """
)
_FILLERS = word_set(
    "bitte eigentlich genau wirklich mal denn doch ähm äh halt überhaupt tatsächlich"
)

_MEANINGS = {
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

_MOVERS = word_set(
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


_COUNTING = _numbers()  # "drei mal vier" multiplies

_ORDINALS = words_for(
    """
    2nd zweite zweiter zweites zweiten, 3rd dritte dritter drittes dritten, 4th vierte vierter
    viertes vierten, 5th fünfte fünfter fünftes fünften, 6th sechste sechster sechsten, 7th siebte
    siebter siebten, 8th achte achter achten, 9th neunte neunter neunten, 10th zehnte zehnter
    zehnten
    """
)

_MONTHS = {
    month: month
    for month in (
        word_list(
            "januar februar märz april mai juni juli august september oktober november dezember"
        )
    )
}

_STARTS = """
^ hallo|hi|hey|moin|servus|grüezi (zusammen|ihr|team) ,|.|! =>
^ guten|schönen|gute tag|morgen|abend (zusammen|allerseits) ,|.|! =>
^ liebes|lieber|liebe * , =>
^ hallo|hi|hey wie => wie
^ hallo|hi|hey was => was
^ hallo|hi|hey wo => wo
^ hallo|hi|hey kann => kann
^ ähm|äh|hm|also|ok|okay|gut|so|und|ja|sorry|entschuldigung|verzeihung ,|.|: =>
^ ähm|äh|hm =>
^ nur|mal kurz|ganz|so (,|:) (gefragt) (,|:) =>
^ (eine|noch|nur) (eine) kurze|schnelle|kleine frage (,|:|.) =>
^ noch eine frage (,|:|.) =>
^ frage ,|: =>
^ ich habe|hätte (mal) (eine) (kurze|kleine) frage (,|:|.) =>
^ bitte (,) =>
^ danke|dank|besten|vielen|viel|herzlichen (dank) (schon) (in) (dem) (voraus) (für) (die) (hilfe) ,|:|.|!|$ =>
^ sag|sagen|sage|erkläre|erklär|erklären|zeig|zeige|zeigen|verrate|beschreibe|beschreib (sie) (mir|uns) (bitte) (mal) , =>
^ mit freundlichen grüssen ,|.|!|$ =>
^ viele|liebe|beste grüsse ,|.|!|$ =>
^ kannst|können|könntest|könnten|würdest|würden du|sie|ihr (mir|uns) (bitte|vielleicht) (mal) sagen|erklären|verraten|zeigen|mitteilen , =>
^ kannst|können|könntest|könnten|würdest|würden du|sie|ihr (mir|uns) (bitte|vielleicht) (mal) sagen|erklären|verraten|zeigen wie|was|wo|wann|warum|wer|welche|ob => @7
^ weisst|wissen|wisst du|sie|ihr (vielleicht|zufällig) , =>
^ ich möchte|würde|will|wollte|muss (gern|gerne) (mal) wissen|fragen|erfahren , =>
^ ich frage|wüsste mich|gern|gerne , =>
^ mich interessiert|würde (interessieren) , =>
^ sag|sagen|sage|erkläre|erklär|erklären|zeig|zeige|zeigen|verrate|beschreibe|beschreib|nenne|nenn (sie) (mir|uns) (bitte) (,) wie|was|wo|wann|warum|wer|welche|welcher|welches|woran => @6
^ erkläre|erklär|erklären|nenne|beschreibe (sie) (mir|uns) (bitte) den|die unterschied|unterschiede => was ist der @6
^ worin besteht|liegt der unterschied => was ist der unterschied
^ was sind die unterschiede => was ist der unterschiede
^ erkläre|erklär|erklären|beschreibe|beschreib|definiere|definieren (sie) (mir|uns) (bitte) (den|die|das) (begriff) => was ist
^ nenne|nenn|nennen|gib|geben|zeige|zeig|zeigen|sag|sage (sie) (mir|uns) (bitte) die|den|das => was ist
^ nenne|nenn|nennen|gib|geben|liste|zähle (sie) (mir|uns) (bitte) => nenne
^ was bedeutet|heisst|bezeichnet => was ist
^ was versteht man unter => was ist
^ was ist mit * gemeint $ => was ist *
^ wie lautet|heisst|heissen|lauten => was ist
^ welche|welcher|welches ist|sind => was ist
^ wie kann|könnte|können|könnten ich|man|wir => wie
^ wie würde|würden ich|man|wir => wie
^ wie ist es möglich , => wie
^ auf welche weise|art kann|könnte ich|man => wie
^ was muss|kann ich|man tun , um => wie
^ wie geht|funktioniert man beim => wie
^ wie viel beträgt|betragen => wie hoch ist
^ was beträgt|betragen => wie hoch ist
^ wie viel kostet|kosten => was kostet
^ wie teuer ist|sind => was kostet
^ was ist der preis für|von|eines|einer => was kostet
^ wie viel einwohner hat => was ist einwohnerzahl von
^ wie viel menschen leben|wohnen in => was ist einwohnerzahl von
^ um wie viel uhr => wann
^ zu welcher uhrzeit|zeit => wann
^ an welchem tag => wann
^ an welchem|welcher ort|stelle => wo
^ aus welchem grund => warum
^ was ist|sind der|die grund|gründe für => warum
^ welche person => wer
^ wie lang|lange => wie lange
^ ist es möglich|erlaubt|gestattet , => kann ich
"""

_ANYWHERE = """
, bitte|danke $ =>
, vielen|viel|besten dank (in) (dem) (voraus) $ =>
im moment => jetzt
in dem moment => jetzt
zurzeit => jetzt
zur zeit => jetzt
mit hilfe von => mit
mithilfe von => mit
anhand von => mit
sowie => und
sowohl => und
aufgrund von => wegen
aufgrund => wegen
vereinigte|vereinigten staaten (von) (amerika) => usa
zum beispiel =>
wie viel prozent => wie viel prozent
mehr oder weniger => ungefähr
"""

_SYNONYMS = words_for(
    """
    kaufen erwerben, löschen entfernen, symptom anzeichen, anwalt rechtsanwalt, erhöhen anheben
    steigern, senken reduzieren verringern, kochen sieden, beginnen starten anfangen, ändern
    verändern modifizieren, auto wagen pkw, handy smartphone mobiltelefon, arzt doktor, foto bild,
    zahlen bezahlen, schicken senden, verwenden benutzen nutzen, bekommen erhalten kriegen, ordner
    verzeichnis, kaputt defekt, schnell rasch, medikament arznei arzneimittel, lieferung sendung,
    müll abfall, fahrrad rad, passwort kennwort, email mail, kühlschrank eisschrank, job
    arbeitsstelle, urlaub ferien, reparieren ausbessern, erstellen anlegen, deutschland brd,
    geldautomat bankautomat, sosse sauce, kalzium calcium, joghurt jogurt, telefonnummer rufnummer,
    herstellen produzieren, erlauben gestatten, gratis kostenlos umsonst
    """
)

_OPPOSITES = opposites(
    """
    sicher unsicher/gefährlich, öffnen/auf schliessen/zu, kaufen verkaufen, erhöhen senken, zunehmen
    abnehmen, steigen/steigern sinken/fallen/senken, hoch niedrig/tief, gross klein, lang kurz, alt
    neu/jung, schnell langsam, teuer billig/günstig, heiss/warm kalt, nass trocken, schwer leicht,
    stark schwach, gut schlecht, vor/bevor nach/nachdem, vorteil nachteil, annehmen ablehnen,
    abholen abgeben/bringen, ein aus, einschalten ausschalten, aktivieren deaktivieren, sperren
    entsperren, arbeitgeber arbeitnehmer, mieter vermieter, käufer verkäufer, anfang ende, beginnen
    beenden, innen aussen, links rechts, oben unten, maximum minimum, maximal minimal, import
    export, importieren exportieren, erlaubt verboten, positiv negativ, leichteste schwerste,
    überfunktion unterfunktion, hinversand rückversand, mit ohne
    """
)

_VERBATIM = word_set(
    """
    übersetze übersetz übersetzen übersetzung übersetzt wort wörter satz sätze synonym synonyme
    gegenteil antonym reim reimt mehrzahl plural einzahl singular konjugiere konjugation
    grammatik buchstabiere buchstabe buchstaben schreibweise ausgesprochen aussprache
    formuliere umformulieren korrigiere silbe silben grossbuchstaben kleinbuchstaben unterschied
    versus vs redewendung sprichwort vergangenheitsform
    """
)

_ASKERS = word_set(
    """
    was wer wen wem wessen wann wo wohin woher warum wie wozu womit woran welche welcher welches
    welchen welchem
    """
)
_SUBJECTS = word_set("ich man wir du sie er")
_MODALS = frozenset(word for word, meaning in _MEANINGS.items() if meaning.guard is Guard.MODALITY)
_HELPERS = word_set(
    "ist sind war waren hat haben habe hatte wird werden wurde wurden gibt bin bist"
)
_PREFIXES = word_set(
    """
    ab an auf aus bei ein mit nach vor weg zu zurück her hin los um durch frei fest statt teil
    zusammen weiter wieder rückgängig
    """
)
_PREPOSITIONS = frozenset(
    word
    for word, meaning in _MEANINGS.items()
    if meaning.guard is Guard.RELATION and word not in ("den", "dem", "und", "oder", "als")
)


def prepare(words: list[str]) -> list[str]:
    """The words without fillers; "liste sortieren, wie?" asks as "wie liste sortieren" does."""
    kept = [
        word
        for at, word in enumerate(words)
        if word not in _FILLERS
        or (word == "mal" and at and (words[at - 1][0].isdigit() or words[at - 1] in _COUNTING))
    ]
    words = kept or words
    last = len(words)
    while last and words[last - 1] in BREAKS:
        last -= 1
    if last > 1 and words[last - 1] in ("wie", "wo", "wann", "warum") and words[0] not in _ASKERS:
        stop = last - 2 if words[last - 2] == "," else last - 1
        return [words[last - 1], *words[:stop], *words[last:]]
    return words


def arrange(words: list[str]) -> list[str]:
    """The words with the verb behind what asks, whole, wherever German has put its parts."""
    said: list[str] = []
    start = 0
    for at, word in enumerate([*words, "."]):
        if word in BREAKS:
            said += _clause(words[start:at])
            if at < len(words):
                said.append(word)
            start = at + 1
    return said


def _clause(words: list[str]) -> list[str]:
    words = _without_cases(words)
    if not words:
        return words
    asks = _asking_part(words)
    if asks == 0:
        if words[0] in _MODALS or words[0] in _HELPERS or _is_finite(words[0], words):
            return ["ob", *_with_prefix(words)]
        return words
    head, rest = words[:asks], words[asks:]
    if not rest:
        return words
    if rest[0] in _SUBJECTS or (rest[0] not in _MODALS and _is_verb(rest[-1]) and len(rest) > 1
                                and not _is_verb(rest[0])):  # fmt: skip
        # A clause of its own, or no finite verb: the verb is at the end.
        subject = 1 if rest[0] in _SUBJECTS else 0
        return [*head, rest[-1], *rest[subject:-1]] if _is_verb(rest[-1]) else words
    if rest[0] in _MODALS and _is_verb(rest[-1]) and len(rest) > 1:
        return [*head, rest[0], rest[-1], *rest[1:-1]]
    if _is_verb(rest[0]):
        whole = _with_prefix(rest)
        if len(whole) > 1 and whole[1] in _SUBJECTS and head[0] == "wie":
            del whole[1]
        return [*head, *whole]
    return words


def _without_cases(words: Sequence[str]) -> list[str]:
    """The words without "den" and "dem" behind a preposition; alone they tell who does what."""
    return [
        word
        for at, word in enumerate(words)
        if word not in ("den", "dem") or not at or words[at - 1] not in _PREPOSITIONS
    ]


def _asking_part(words: Sequence[str]) -> int:
    """How many words ask: "wie", "wie lange", "in welchen"."""
    if words[0] not in _ASKERS:
        return 0
    if words[0] == "wie" and len(words) > 1 and words[1] in _MEASURES:
        return 2
    return 1


_MEASURES = word_set("lange viel oft weit hoch gross schnell alt tief teuer schwer")


def _with_prefix(words: list[str]) -> list[str]:
    """ "schalte ... ein" is "einschalte ..."."""
    if len(words) > 2 and words[-1] in _PREFIXES and _is_verb(words[0]):
        return [words[-1] + words[0], *words[1:-1]]
    return words


def _is_verb(word: str) -> bool:
    if word in IRREGULAR_VERBS:
        return True
    return word.isalpha() and base_form(word) in VERB_STEMS


def _is_finite(word: str, words: Sequence[str]) -> bool:
    return _is_verb(word) and len(words) > 1 and words[1] in _SUBJECTS


def tense(words: Sequence[str]) -> Tense | None:
    """The tense of the first auxiliary."""
    for word in words:
        if word in _PAST:
            return Tense.PAST
        if word in _HELPERS:
            return None
    return None


_PAST = word_set("war waren wurde wurden hatte hatten warst")

_STARTING, _EVERYWHERE = read_phrases(_STARTS, _ANYWHERE)

GERMAN = Language(
    code="de",
    telltales=_TELLTALES,
    expansions=_EXPANSIONS,
    starts=_STARTING,
    anywhere=_EVERYWHERE,
    verbatim=_VERBATIM,
    empty=_EMPTY,
    meanings=_MEANINGS,
    movers=_MOVERS,
    places=word_set("in an auf"),
    articles=word_set("ein eine einen der die das"),
    asking=_ASKERS | _MODALS | word_set("ist sind war gibt hat haben"),
    conditional=word_set("wann"),
    numbers=_COUNTING,
    ordinals=_ORDINALS,
    months=_MONTHS,
    synonyms=_SYNONYMS,
    opposites=_OPPOSITES,
    known=VOCABULARY,
    misspelt=MISSPELT,
    decimal_comma=True,
    joins_hyphens=True,
    capitals_name=False,
    fold=fold,
    base_form=base_form,
    prepare=prepare,
    arrange=arrange,
    tense=tense,
)
