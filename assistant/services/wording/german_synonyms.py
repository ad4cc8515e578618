"""German words for the same, by which answers do not differ, and words against each other."""

from __future__ import annotations

from assistant.services.wording.language import opposites, words_for

SYNONYMS = words_for(
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

OPPOSITES = opposites(
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
