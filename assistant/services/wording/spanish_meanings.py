"""The small words of Spanish: what asks, denies, counts and relates, and what says nothing."""

from __future__ import annotations

from assistant.services.wording.language import expansions, meanings, values, words_for
from assistant.services.wording.meaning import Guard
from assistant.services.wording.text import word_list, word_set

TELLTALES = word_set(
    """
    el la los las un una unos unas de del que qué cual cuál cuales cuáles como cómo donde dónde
    cuando cuándo cuanto cuánto cuanta cuánta cuantos cuántos cuantas cuántas quien quién quienes
    quiénes por para con sin es son está esta están hay puedo puede se mi mis su al en y muy más mas
    dime explica nombra enumera muestra dame favor hola gracias si a porque sobre entre desde hasta
    """
)

EXPANSIONS = expansions(
    """
    al a el, del de el, qué que, mas más, sólo solo, está estar, están estar, estoy estar, estan
    estar, éste este
    """
)

FILLERS = word_set("exactamente realmente simplemente basicamente verdaderamente pues eh oye oiga")
EMPTY = word_set(
    """
    el la los las lo un una unos unas es son ser eran era fue fueron exactamente realmente
    simplemente basicamente pues eh oye
    """
)

MEANINGS = {
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

MOVERS = word_set(
    "a en con por para sobre hasta desde contra durante según si cuando mientras porque antes despues"
)

NUMBERS = {
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

ORDINALS = words_for(
    """
    2nd segundo segunda, 3rd tercero tercera tercer, 4th cuarto cuarta, 5th quinto quinta, 6th sexto
    sexta, 7th septimo septima, 8th octavo octava, 9th noveno novena, 10th decimo decima
    """
)

MONTHS = {
    month: month
    for month in word_list(
        """
        enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
        """
    )
}
