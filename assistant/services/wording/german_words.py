"""German words in their base form, and how to find it. All with "ss", as folding has it."""

from __future__ import annotations

from assistant.services.wording.language import words_for
from assistant.services.wording.text import word_set

VERBS = word_set(
    """
    abbauen abbrechen abfangen abgeben abholen ablehnen abmelden abnehmen abrechnen abschalten
    abschliessen absetzen absichern aktivieren aktualisieren akzeptieren analysieren anbieten
    ändern anfangen anfechten angeben anheben anlegen anmelden annehmen anpassen anrufen anschliessen
    anstecken antworten anwenden anzeigen arbeiten auflösen aufräumen ausdrucken ausführen ausgeben
    ausleihen ausschalten aussehen auswählen auswerten backen bauen beachten beantragen bedeuten
    beeinflussen beenden befestigen beginnen behalten behandeln bekämpfen bekommen belegen benennen
    benutzen berechnen beschreiben besitzen bestätigen bestellen bestimmen besuchen betragen
    betreten bewerben bezahlen bieten bilden binden bleiben bohren braten brauchen brechen brennen
    bringen buchen codieren compilieren danken dauern deaktivieren definieren drucken duschen
    einbauen einfügen einlösen einreichen einrichten einschalten einstellen eintragen einzahlen
    empfehlen enden enthalten entfernen entkalken entscheiden entsorgen entsperren entstehen
    entwickeln erfahren erfinden erhalten erhöhen erinnern erkennen erklären erlauben ersetzen
    erstatten erstellen erwarten erwerben essen exportieren fahren fallen fangen fehlen feiern
    festlegen festnehmen finden fliegen fliessen folgen formatieren fragen freigeben fressen
    funktionieren fürchten garantieren geben gehen gelten geniessen gewinnen glauben greifen gründen
    grüssen haften halten handeln hängen heben heilen heiraten heissen heizen helfen herstellen
    herunterladen hinzufügen hochladen hören implementieren importieren informieren installieren
    interessieren kaufen kennen klagen klären kleben klettern klingen kneten kochen kommen
    konfigurieren können kontaktieren konvertieren kopieren korrigieren kosten kriegen kündigen
    laden landen laufen leben legen lehren leihen leisten lernen lesen lieben liefern liegen löschen
    lösen lüften machen malen melden merken messen mieten mischen mitnehmen montieren nachweisen
    nehmen nennen nutzen öffnen ordnen organisieren pflanzen pflegen planen posten produzieren
    programmieren prüfen putzen rauchen reagieren rechnen reden reduzieren regeln registrieren
    reichen reifen reinigen reisen reparieren reservieren retten rufen runden sagen sammeln schaden
    schaffen schälen schalten scheiden schenken schicken schiessen schlafen schlagen schliessen
    schmecken schmelzen schneiden schnurren schreiben schützen schwimmen sehen senden senken setzen
    sichern sieden sinken sitzen sortieren sparen speichern sperren spielen sprechen springen spülen
    starten stehen stehlen steigen steigern stellen sterben steuern stimmen stornieren streichen
    studieren suchen synchronisieren tanken tanzen tauschen teilen testen tragen trainieren
    treffen trennen trinken trocknen tropfen überprüfen übersetzen übertragen überweisen
    umbenennen umrechnen umtauschen umwandeln unterscheiden unterschreiben untersuchen verändern
    verbieten verbinden verbessern verbrauchen verbrennen verdienen vereinbaren verfolgen vergeben
    vergessen vergleichen verhindern verjähren verkaufen verlängern verlangen verlassen verlieren
    vermeiden vermieten verringern verschicken verschieben verschlüsseln versenden versichern
    verstehen versuchen vertreten verwalten verwenden verzichten vorbereiten wachsen wählen warten
    waschen wechseln weinen weitergeben wenden werfen widerrufen wiederherstellen wiegen wirken
    wissen wohnen wünschen zahlen zählen zeichnen zeigen zerstören ziehen zugreifen zulassen
    zunehmen zurücknehmen zurücksetzen zurückgeben zurückschicken zusammenführen zustellen
    zustimmen anbringen beitragen löten nähen stricken streamen klonen mergen pushen debuggen
    deployen updaten downloaden googeln mailen chatten scannen leeren füllen kürzen schärfen würzen
    """
)

ADJECTIVES = word_set(
    """
    absetzbar ähnlich aktuell allein allergisch alt ansteckend arm bekannt bequem bereit berühmt
    billig bitter blau blind braun breit bunt dauerhaft deutlich deutsch dick digital direkt dringend
    dumm dunkel dünn echt ehrlich eigen einfach eckig elektrisch eng englisch erfolgreich erlaubt
    entfernt ernst falsch faul fein fertig fest fett feucht flach flexibel französisch frei fremd freundlich
    frisch froh früh gebraucht gefährlich gelb gemeinsam genau gering gesamt gesund giftig glatt
    gross grün günstig gut haltbar hart hässlich heiss hell hoch hübsch illegal interessant jung
    kalt kaputt klar klein klug komplett kompliziert körperlich kostenlos kräftig krank kühl kurz
    lang langsam laut lecker leer legal leicht leise letzt lustig maximal menschlich minimal mittel
    modern möglich müde nah nass natürlich negativ nett neu niedrig normal notwendig nötig offen
    öffentlich okay online ordentlich passend persönlich positiv praktisch privat pünktlich rechtlich
    regelmässig reich reif rein richtig roh rot ruhig rund salzig sauber sauer scharf schlank
    schlecht schlimm schmal schmerzhaft schnell schön schuldig schwach schwanger schwarz schwer
    sicher sichtbar sinnvoll spanisch spät stabil stark steil steuerlich still stolz süss technisch
    teuer tief tot traurig trocken typisch unbekannt unbezahlt ungesund ungültig gültig unsicher
    unterschiedlich verboten verfügbar verschieden voll vorsichtig wahr warm weich weiss weit wert
    wichtig wild wirksam zufällig zulässig zuverlässig fällig trächtig schädlich kariert
    """
)

NOUNS = word_set(
    """
    abend abfall abgabe abkürzung abo abschluss abschreibung absender abteilung adresse aktie alarm
    algorithmus alkohol alter ampel amt anbieter anfang anforderung anfrage angebot angestellter
    angst anhang anlage anleitung anmeldung anruf anschluss ansicht antibiotikum antrag antwort
    anwalt anwendung anzahl anzeichen anzeige apfel apotheke app april arbeit arbeiter arbeitgeber
    arbeitnehmer arbeitslosengeld arbeitsplatz arbeitsvertrag arbeitszeit arm artikel arzt atem
    attest aufgabe auflauf auftrag aufzug auge ausgabe ausland ausnahme ausrüstung ausweis auto
    automat autobahn bäcker bad bahn bahnhof ball bank batterie bauch baum beamter bedeutung
    bedingung beere befehl behandlung behörde beitrag beleg benutzer berater berechnung bereich berg
    bericht beruf beschwerde bestellung besuch betrag betrieb bett beutel bewerbung beziehung bibel
    bier bild bildschirm birne blatt blitz blume blut blutdruck boden bohne boot brief briefmarke
    brille brot brötchen brücke bruder buch buchstabe budget bundeskanzler bundesland bundestag büro
    bus butter chef code computer container dach dame darm datei daten datenbank datum dauer decke
    demokratie dezember diagramm dienst dienstreise ding dividende dokument dorf dose drucker durst
    ehe ei eigentümer eimer einfluss eingang einheit einkommen einkommensteuer einladung eintrag
    einwohner eis eisen elektron element elterngeld elternzeit empfänger ende energie entfernung
    entzündung erbe erbschaft erbschaftsteuer erde ereignis erfahrung erfinder ergebnis erkältung
    ernährung ersatz erwachsener essen essig familie farbe fass fehler feier feiertag feld fenster
    ferien fernseher feuer fieber figur film filter firma fisch fläche flasche fleck fleisch fliege
    flug flughafen flugzeug fluss folge formel formular forderung foto frage frau freibetrag freiheit
    freund freundin frist frucht frühstück führerschein funktion fuss gabel garantie garten gas gast
    gebäude gebiet gebirge gebühr geburt geburtstag gedicht gefahr gefühl gegenstand gehalt
    gehirn gehirnerschütterung geld geldautomat gemüse gericht geschäft geschenk geschichte
    geschwindigkeit gesellschaft gesetz gesicht gespräch gesundheit gewicht gewinn gewitter glas
    gleichung glück gold grad gras grenze grippe grösse grossmutter grund grundstück gruppe gurke
    gutschein haar hafen haftung hals halsschmerzen hand handel handy haus haushalt hausschlüssel
    haut heft hefeteig heizung hemd herd herz hilfe himmel hitze höhe holz honig hose hotel hund
    hunger husten idee impfung inflation inhalt insel insekt institut interesse internet jacke januar
    joghurt juli junge juni kabel kaffee kalender kalorie kamera kamm karte kartoffel käse kasse katze
    käufer keller kette kind kino kirche kissen klasse kleid kleidung klima knie knochen koch koffer
    kohl kohle kollege kommentar konstruktor konto kontrolle kopf kopfschmerzen kopie körper kosten
    krankenhaus krankenkasse krankenversicherung krankheit kredit kreditkarte kreis krieg küche
    kuchen kugel kühlschrank kunde kündigung kündigungsfrist kunst kurs küste lack lage lampe land
    länge laptop lärm leben leber lebensmittel leder lehrer leistung leitung licht lied lieferung
    lieferzeit linie liste löffel lohn lohnsteuer loch luft lunge magen mahlzeit mahnung mai mangel
    mann markt marmelade maschine masern maus mauer medikament meer mehl mehrwertsteuer meinung menge
    mensch messer metall miete mieter mietwagen mikrowelle milch million mindestlohn minister minute
    mitarbeiter mittag mitte mitternacht mittwoch modell moment monat monitor mond montag morgen
    motor müll mumps mund münze musik muskel mutter nachmittag nachricht nachteil nacht nagel name
    nase natur nebenkosten nerv netz netzwerk niere notar note notfall november nudel nummer nuss
    oberfläche objekt obst ofen ohr oktober öl ordner ort osten ozean paket papier partei pass
    passwort patient pause personalausweis person pfanne pferd pflanze pflaster pflicht pizza pizzateig
    planet platz politik polizei polymorphie post präsident preis problem produkt programm projekt
    protein protokoll provider prozent prozess pullover pumpe punkt quelle rabatt rad radio
    rand rate rathaus raum rechner rechnung recht rechtschreibung regal regel regen regierung region
    reifen reihe reis reise reisepass rente reparatur restaurant rezept richter richtung ring risiko
    rock rohr rose rückerstattung rückgabe rücken rückenschmerzen rücksendung ruhe runde sache saft
    salat salz sammlung sand schaden schadenersatz schatten scheidung schere schiff schlaf schleife
    schloss schlüssel schmerz schmerzmittel schmuck schnee schnitt schnittstelle schnupfen schokolade
    schrank schraube schreibtisch schritt schublade schuh schuld schule schüler schulter schwangerschaft
    schwester schwimmbad see seele seite sekunde seife sendung september server sicherheit sicherung
    signal silber sitz sitzung sohn solarzelle sommer sonne sonnenbrand sonnenfinsternis
    sonnenschein sosse spalte spannung speicher speiseplan spiegel spiel spieler sport sprache spritze
    stadt stadtrat stahl stamm standard start stein stelle stern steuer steuererklärung stichtag stift
    stil stimme stoff strafe strand strasse strom stück student stuhl stunde sturm suche süden suppe
    system tabelle tablette tag tank tante tasche tasse tastatur taste taxi team tee teig teil telefon
    teller temperatur teppich termin test testament text thema tier tisch titel tochter tod toilette
    tomate tomatensosse ton tonne topf tor tourist traum treppe treuhandkonto trinkgeld tropfen tuch
    tumor tür turm typ übelkeit überstunde überweisung ufer uhr umlaut umsatz umsatzsteuer umwelt unfall
    universität universum unterkunft unterlage unternehmen unterschrift untersuchung urlaub ursache
    urteil vater ventil verbrauch verbrennung verein vererbung verfahren vergleich verhalten verkäufer
    verkehr verlag verlust vermieter vermögen versand verschluss version versicherung verspätung
    versuch vertrag verwaltung video virus visum vitamin vogel volk vollmacht vorauszahlung vorhang
    vorname vorsicht vorteil waage wagen wahl wahrheit wald wand wärme ware warnung warze wäsche
    waschmaschine wasser wasserhahn watte weg wein weizen welle welt wert westen wetter widerruf winter
    wirkung wirtschaft wissenschaft woche wohnung wolke wolle wunde wunsch würfel wurst wurzel
    zahl zahlung zahlungsart zahn zahnarzt zeichen zeile zeit zeitraum zeitung zelle zelt zentralbank
    zeugnis ziel zimmer zins zoll zucker zug zugang zukunft zunge zustand zutat zweck zwiebel
    """
)

NAMES = word_set(
    """
    afrika ägypten albanien algerien amerika argentinien asien australien belgien bolivien bosnien
    brasilien bulgarien chile china dänemark deutschland england estland europa finnland frankreich
    georgien griechenland grossbritannien indien indonesien irak iran irland island israel italien
    japan jordanien kanada kenia kolumbien kongo korea kroatien kuba lettland libanon libyen litauen
    luxemburg malta marokko mexiko moldau mongolei nepal neuseeland niederlande nigeria norwegen
    österreich pakistan peru polen portugal rumänien russland saudiarabien schottland schweden
    schweiz serbien slowakei slowenien spanien sudan südafrika syrien thailand tschechien tunesien
    türkei uganda ukraine ungarn uruguay venezuela vietnam zypern bayern sachsen hessen thüringen
    brandenburg niedersachsen saarland westfalen schleswig holstein
    aachen augsburg berlin bern bonn bremen chemnitz dortmund dresden duisburg düsseldorf erfurt essen
    frankfurt freiburg genf graz hamburg hannover heidelberg innsbruck karlsruhe kassel kiel köln
    leipzig linz lübeck madrid mailand mainz mannheim moskau münchen neapel nürnberg paris potsdam prag
    rom rostock salzburg stuttgart venedig warschau wien zürich
    docker excel java javascript kotlin kubernetes linux python windows ubuntu postgres typescript
    """
)

IRREGULAR_VERBS = words_for(
    """
    fangen fängst fängt, abfangen abfängst abfängt, anfangen anfängt, laden lädst lädt, fahren
    fährst fährt, tragen trägst trägt, schlafen schläfst schläft, waschen wäschst wäscht, wachsen
    wächst, halten hältst hält, behalten behältst behält, enthalten enthält, erhalten erhältst
    erhält, fallen fällst fällt, lassen lässt, verlassen verlässt, laufen läufst läuft, backen
    bäckst bäckt, braten brätst brät, beraten berät, schlagen schlägst schlägt, geben gibst gibt,
    ausgeben gibst ausgibt, nehmen nimmst nimmt, sehen siehst sieht, lesen liest, essen isst,
    fressen frisst, vergessen vergisst, messen misst, helfen hilfst hilft, sprechen sprichst
    spricht, brechen brichst bricht, treffen triffst trifft, werfen wirfst wirft, sterben stirbst
    stirbt, gelten gilt, empfehlen empfiehlst empfiehlt, stehlen stiehlst stiehlt, betragen beträgt,
    übertragen überträgt, vertreten vertrittst vertritt, betreten betrittst betritt, wissen weiss
    weisst, haben hat habe hast, werden wird wirst wurde wurden
    """
)

_PLURALS = words_for(
    """
    stadt städte städten, land länder ländern, buch bücher büchern, haus häuser häusern, kind kinder
    kindern, mann männer männern, bild bilder bildern, blatt blätter, baum bäume bäumen, zahn zähne
    zähnen, zug züge zügen, flug flüge flügen, fluss flüsse flüssen, wort wörter, fach fächer, rad
    räder, glas gläser, ei eier eiern, hund hunde hunden, arzt ärzte ärzten, anwalt anwälte
    anwälten, vertrag verträge verträgen, antrag anträge, betrag beträge, topf töpfe, kopf köpfe,
    stuhl stühle, schrank schränke, schaden schäden, mangel mängel, laden läden, apfel äpfel, vater
    väter, mutter mütter, bruder brüder, tochter töchter, sohn söhne, gast gäste, satz sätze, platz
    plätze, grund gründe gründen, raum räume, traum träume, wunsch wünsche, datum daten, visum visa,
    konto konten, thema themen, firma firmen, museum museen, bundesland bundesländer, bundesstaat
    bundesstaaten, nachbarland nachbarländer
    """
)

MISSPELT = words_for(
    """
    passwort pasword, adresse addresse, vielleicht vieleicht, standard standart, interesse
    intresse, ungefähr ungefär, weil weill, nicht nciht nich, wirklich wircklich
    """
)

# Real words that would pass for slips of the pen, the past of weak verbs among them.
LOOKALIKES = word_set(
    """
    abschiessen anschiessen anzeichne beistellung beschrieben betätigen einreihen einschulten
    entschieden früchten interessent interessenten scheissen scherzhaft schieden schleissen
    schlichteste schlichtesten schlichtester schliefe schlissen schlüssle schrieben tschechen unternahmen unterschieden
    unterschrieben veraltung verflogen verglichen verhallten verlasen vermieden verrauchen
    verrennen verscheiden verschrieben vorschieben weitergaben wochenwende zahlungsort
    zahlungsorte zahlungsorten zahlungsorts zurückgaben überragen überwiesen erwachsender
    """
) | {verb[:-2] + past for verb in VERBS if verb.endswith("en") for past in ("te", "ten")}

VERB_STEMS = VERBS
VOCABULARY = VERBS | ADJECTIVES | NOUNS | NAMES
_INFLECTIONS = ("en", "er", "em", "es", "e")
_PERSONS = ("en", "et", "est", "st", "t", "e", "n", "")


def fold(word: str) -> str:
    """ "fuer" is "für" and "pruefe" is "prüfe" where only the latter is a word."""
    if word in VOCABULARY:
        return word
    for written, meant in (("ae", "ä"), ("oe", "ö"), ("ue", "ü")):
        if written in word:
            changed = word.replace(written, meant)
            if changed in _FUNCTION_WORDS or base_form(changed) in VOCABULARY:
                return changed
    return word


_FUNCTION_WORDS = word_set(
    "für über können könnte könnten müssen müsste dürfen dürfte möchte während nächste fünf zwölf"
)


def base_form(word: str) -> str:
    """ "installiere" is "installieren", "gutscheine" is "gutschein"."""
    if word in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[word]
    if word in _PLURALS:
        return _PLURALS[word]
    if len(word) < 4 or word in VOCABULARY:
        return word
    for ending in _PERSONS:
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            for infinitive in (stem + "en", stem + "n", stem + "eln"):
                if len(stem) > 2 and infinitive in VERBS:
                    return infinitive
    for ending in _INFLECTIONS:
        if word.endswith(ending) and word.removesuffix(ending) in ADJECTIVES:
            return word.removesuffix(ending)
    for ending in ("en", "n", "e", "s", "es", "nen"):
        if word.endswith(ending) and word.removesuffix(ending) in NOUNS:
            return word.removesuffix(ending)
    return _unknown(word)


def _unknown(word: str) -> str:
    """A noun that is in no list, most likely, without the ending of its plural."""
    if word.endswith("s") and len(word) > 4 and word[-2] not in "siu":
        return word[:-1]
    for ending in ("en", "e"):
        if word.endswith(ending) and len(word) >= len(ending) + 6:
            return word.removesuffix(ending)
    return word
