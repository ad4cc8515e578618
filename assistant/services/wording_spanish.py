"""Spanish: what asks, denies, relates and says nothing, and what are other words for the same."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.services.wording_language import (
    Language,
    Tense,
    expansions,
    meanings,
    opposites,
    values,
    words_for,
)
from assistant.services.wording_meaning import Guard
from assistant.services.wording_phrases import read_phrases
from assistant.services.wording_spanish_words import MISSPELT, VERBS, VOCABULARY, base_form, fold
from assistant.services.wording_text import word_list, word_set

_TELLTALES = word_set(
    """
    el la los las un una unos unas de del que qué cual cuál cuales cuáles como cómo donde dónde
    cuando cuándo cuanto cuánto cuanta cuánta cuantos cuántos cuantas cuántas quien quién quienes
    quiénes por para con sin es son está esta están hay puedo puede se mi mis su al en y muy más mas
    dime explica nombra enumera muestra dame favor hola gracias si a porque sobre entre desde hasta
    """
)

_EXPANSIONS = expansions(
    """
    al a el, del de el, qué que, mas más, sólo solo, está estar, están estar, estoy estar, estan
    estar, éste este
    """
)

_FILLERS = word_set("exactamente realmente simplemente basicamente verdaderamente pues eh oye oiga")
_EMPTY = word_set(
    """
    el la los las lo un una unos unas es son ser eran era fue fueron exactamente realmente
    simplemente basicamente pues eh oye
    """
)

_MEANINGS = {
    **meanings(
        Guard.NEGATION,
        """
        no, nunca jamas jamás, sin, ni, nadie, nada, ningun ninguno ninguna ningún, tampoco, apenas
        """,
    ),
    **meanings(
        Guard.QUESTION,
        """
        que, cual cuales, quien quienes, cuando, donde adonde, como, cuanto cuanta, cuantos cuantas,
        porqué
        """,
    ),
    **meanings(
        Guard.SCOPE,
        """
        todo toda todos todas, cada, algun alguno alguna algunos algunas algún, alguien, algo, solo
        solamente unicamente, primero primera primer primeros primeras, ultimo ultima ultimos ultimas,
        proximo proxima proximos proximas, mayor, menor, mejor mejores, peor peores, más, menos, mucho
        mucha muchos muchas, poco poca pocos pocas, varios varias, ambos ambas, medio media, mitad,
        entero entera, otro otra otros otras, mismo misma mismos mismas, siempre, veces, tambien, aun
        aún, ya, muy, demasiado, casi, bastante, unico unica, maximo maxima, minimo minima
        """,
    ),
    **meanings(
        Guard.MODALITY,
        """
        puedo, puedes podrias, puede pueden podria podrian, podemos, debo, debes, debe deben deberia
        deberian, debemos
        """,
    ),
    **meanings(
        Guard.PERSON,
        """
        yo, me, mi, mis, mio mia, tu tú, te, tus, su sus, él, ella, nosotros, nos, nuestro nuestra
        nuestros nuestras, ellos, ellas, usted ustedes, le les
        """,
    ),
    **meanings(
        Guard.RELATION,
        """
        de, a, en, con, por, para, sobre, entre, hasta, desde, contra, durante, según, segun, tras,
        hacia, ante, antes, despues después, y e, o u, pero, si, porque, mientras, aunque, se
        """,
    ),
    **meanings(
        Guard.TIME,
        """
        hoy, mañana, ayer, anteayer, ahora actualmente, lunes, martes, miercoles, jueves, viernes,
        sabado sabados, domingo domingos, enero, febrero, marzo, abril, mayo, junio, julio, agosto,
        septiembre setiembre, octubre, noviembre, diciembre, primavera, verano, otoño, invierno,
        mediodia mediodía, tarde tardes, noche noches, dia dias día, semana semanas, mes meses,
        trimestre trimestres, año años, decada, siglo siglos, hora horas, minuto minutos, temprano,
        diario diariamente, semanal, mensual, anual
        """,
    ),
    **meanings(
        Guard.NUMBER,
        """
        percent ciento, euro euros eur, dollar dolar dolares, kilometro kilometros km, metro
        metros, centimetro centimetros cm, milimetro milimetros mm, milla millas, kilogramo kilogramos
        kg kilo kilos, gramo gramos, miligramo miligramos mg, litro litros, mililitro mililitros ml,
        grado grados degree, celsius, fahrenheit, segundos, docena docenas, taza tazas, cucharada
        cucharadas
        """,
    ),
}

_MOVERS = word_set(
    "a en con por para sobre hasta desde contra durante según si cuando mientras porque antes despues"
)

_NUMBERS = {
    **{
        word: value
        for value, word in enumerate(
            word_list(
                """
                cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce
                quince dieciseis diecisiete dieciocho diecinueve veinte veintiuno veintidos
                veintitres veinticuatro veinticinco veintiseis veintisiete veintiocho veintinueve
                """
            )
        )
    },
    **values(
        """
        30 treinta, 40 cuarenta, 50 cincuenta, 60 sesenta, 70 setenta, 80 ochenta, 90 noventa,
        100 cien, 200 doscientos, 300 trescientos, 400 cuatrocientos, 500 quinientos, 1000 mil,
        1000000 millon millones
        """
    ),
}

_ORDINALS = words_for(
    """
    2nd segundo segunda, 3rd tercero tercera tercer, 4th cuarto cuarta, 5th quinto quinta, 6th sexto
    sexta, 7th septimo septima, 8th octavo octava, 9th noveno novena, 10th decimo decima
    """
)

_MONTHS = {
    month: month
    for month in word_list(
        """
        enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
        """
    )
}

_STARTS = """
^ hola|buenas|hey|saludos (a) (todos) ,|.|! =>
^ buenos|buenas dias|tardes|noches (a) (todos) ,|.|! =>
^ hola que => que
^ hola como => como
^ estimado|estimada|estimados|querido|querida * , =>
^ eh|oye|oiga|bueno|pues|ok|vale|a|ah|entonces|mira|perdón|perdon|disculpa|disculpe (ver) (,|:) =>
^ por favor (,) =>
^ muchas|mil gracias (por) (adelantado) ,|:|.|!|$ =>
^ gracias (de|por) (antemano|adelantado) ,|:|.|!|$ =>
^ (una) pregunta|duda (rapida|rápida) ,|: =>
^ tengo una pregunta|duda (,|:|.) =>
^ puedes|podrias|puede|podria decirme|explicarme|indicarme (,) (por) (favor) (,) (si) =>
^ me puedes|podrias|puede|podria decir|explicar|indicar (,) (por) (favor) (,) (si) =>
^ quisiera|quiero|quería|necesito|queria|me (gustaria) saber|entender que|como|cual|cuales|donde|cuando|cuanto|cuantos|quien|por|si => @4
^ sabes|sabe|sabrias que|como|cual|cuales|donde|cuando|cuanto|cuantos|quien|por => @2
^ alguien sabe que|como|cual|cuales|donde|cuando|cuanto|cuantos|quien|por => @3
^ dime|explica|explicame|indica|indicame|cuentame|muestra|muestrame|enseñame|enumera|nombra|describe|di (me) (por) (favor) (,) que|como|cual|cuales|donde|cuando|cuanto|cuantos|quien => @6
^ explica|explicame|dime (por) (favor) la|las diferencia|diferencias => que @5
^ cual|cuales es|son la|las diferencia|diferencias => que @4
^ explica|explicame|describe|define (por) (favor) el|la|los|las => que
^ enumera|nombra|lista|menciona|indica|dime|dame|cita (por) (favor) el|la|los|las => que
^ cual|cuales es|son el|la|los|las|mi|tu|su => que es @3
^ cual|cuales es|son => que es
^ cual|cuales era|eran|fue|fueron => que @2
^ que significa|significan (exactamente) => que
^ que quiere decir => que
^ que se entiende por => que
^ que es lo que => que
^ que|cual es|son (el) (significado|definicion) de => que
^ como puedo|podria|podemos|puede => como
^ como se puede|podria => como
^ como hago (yo) para|a => como
^ como hacer para => como
^ de que manera|modo|forma (se|puedo) (puede) => como
^ que (tengo|debo|hay|pasos) (que) (hacer|seguir) para => como
^ cual es la|el (mejor) manera|forma|modo de => como
^ es posible|se|esta (puede|permitido) => puedo
^ se puede => puedo
^ a cuanto asciende|ascienden => cuanto
^ cuanto cuesta|cuestan|vale|valen => cuanto costar
^ que precio tiene|tienen => cuanto costar
^ que|cual es el precio de => cuanto costar
^ que cuesta|cuestan => cuanto costar
^ cuanta gente|personas vive|viven|hay en => que poblacion de
^ cuantos habitantes tiene => que poblacion de
^ cuantas personas viven en => que poblacion de
^ cada cuanto (tiempo) => que frecuencia
^ con que frecuencia => que frecuencia
^ a que hora|horas => cuando
^ que dia => cuando
^ en que lugar|sitio => donde
^ por que => porqué
^ por que motivo|razon => porqué
^ cual es el motivo|la de que => porqué
^ cuanto tiempo => cuanto tiempo
^ que sintomas tiene => que sintomas de
^ que diferencia hay => que diferencia
^ que diferencia existe => que diferencia
^ que diferencias hay => que diferencia
"""

_ANYWHERE = """
, por favor|gracias $ =>
por favor =>
mas o menos =>
más o menos =>
en realidad =>
de verdad =>
en este momento => ahora
hoy en dia => ahora
por ciento => percent
en lugar de => en-vez
con la ayuda de => con
por medio de => con
a traves de => con
debido a => porque
a causa de => porque
con respecto a => sobre
acerca de => sobre
estados unidos => eeuu
se puede|pueden => puedo
tengo que => debo
"""

_SYNONYMS = words_for(
    """
    comprar adquirir, borrar eliminar, aumentar subir incrementar, reducir bajar disminuir, alquilar
    rentar arrendar, hervir cocer, coche auto carro automovil, abogado letrado, señal signo, movil
    celular telefono-movil, ordenador computadora computador, empezar comenzar iniciar, terminar
    acabar finalizar, cambiar modificar, usar utilizar emplear, obtener conseguir, arreglar reparar,
    enviar mandar, elegir escoger, doctor medico, foto fotografia imagen, enfermedad dolencia, email
    correo-electronico, equipaje maletas, nevera frigorifico refrigerador, zumo jugo, rapido veloz,
    sueldo salario, vacuna vacunacion, visado visa, apartamento piso, ordenar clasificar, anular
    cancelar, wifi wi-fi, carpeta directorio, gratis gratuito
    """
)

_OPPOSITES = opposites(
    """
    seguro peligroso/inseguro, abrir cerrar, comprar vender, aumentar/subir reducir/bajar/disminuir,
    engordar adelgazar, alto bajo, grande pequeño, largo corto, nuevo viejo/antiguo, rapido lento,
    caro barato, caliente frio, mojado seco, dificil facil, fuerte debil, bueno malo, mejor peor,
    mejorar empeorar, mayor menor, más menos, antes despues, ventaja desventaja, aceptar rechazar,
    recoger devolver/entregar, encender apagar, activar desactivar, bloquear desbloquear, ida
    vuelta, acreedor deudor, casero inquilino, comprador vendedor, principio fin, empezar terminar,
    dentro fuera, izquierda derecha, arriba abajo, maximo minimo, importar exportar, permitido
    prohibido, positivo negativo, primero ultimo, con sin
    """
)

_VERBATIM = word_set(
    """
    traduce traducir traduccion traducción tradúceme palabra palabras frase frases oracion sinonimo
    sinonimos antonimo antonimos rima riman plural singular conjuga conjugar conjugacion gramatica
    deletrea deletrear pronuncia pronunciacion reescribe corrige parafrasea silaba silabas
    mayusculas minusculas letra letras diferencia diferencias versus vs refran modismo decir
    """
)

_ASKERS = word_set(
    """
    que cual cuales quien quienes cuando donde adonde como cuanto cuanta cuantos cuantas porqué por
    """
)


def prepare(words: list[str]) -> list[str]:
    """The words without what only fills the sentence."""
    return [word for word in words if word not in _FILLERS] or words


def arrange(words: list[str]) -> list[str]:
    """The words with "yo" where only the verb says it; how it is done is the same for all."""
    said: list[str] = []
    for word in words:
        is_general = bool(said) and said[-1] in ("como", "cuanto", "frecuencia", "tiempo", "donde")
        if word == "se" and is_general:
            continue
        if not is_general and _is_first_person(word):
            said.append("yo")
        said.append(word)
    return said


def _is_first_person(word: str) -> bool:
    """Whether the verb's form tells that it is the speaker: "hago" is not "hace"."""
    return word.endswith(("o", "oy")) and word not in VOCABULARY and base_form(word) in VERBS


def tense(words: Sequence[str]) -> Tense | None:
    """The tense of the first form of being or having."""
    for word in words:
        if word in _PAST:
            return Tense.PAST
        if word in _FUTURE:
            return Tense.FUTURE
        if word in ("es", "son", "estar", "hay"):
            return None
    return None


_PAST = word_set("fue fueron era eran estuvo estaba hubo habia había")
_FUTURE = word_set("sera será serán seran habrá habra")

_STARTING, _EVERYWHERE = read_phrases(_STARTS, _ANYWHERE)

SPANISH = Language(
    code="es",
    telltales=_TELLTALES,
    expansions=_EXPANSIONS,
    starts=_STARTING,
    anywhere=_EVERYWHERE,
    verbatim=_VERBATIM,
    empty=_EMPTY,
    meanings=_MEANINGS,
    movers=_MOVERS,
    places=word_set("en a"),
    articles=word_set("un una unos unas"),
    asking=_ASKERS | word_set("puedo puede debo es son hay se"),
    conditional=word_set("cuando donde"),
    numbers=_NUMBERS,
    ordinals=_ORDINALS,
    months=_MONTHS,
    synonyms=_SYNONYMS,
    opposites=_OPPOSITES,
    known=VOCABULARY,
    misspelt=MISSPELT,
    decimal_comma=True,
    fold=fold,
    base_form=base_form,
    prepare=prepare,
    arrange=arrange,
    tense=tense,
)
