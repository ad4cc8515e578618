"""Spanish words in their base form, and how to find it; accents as folding leaves them."""

from __future__ import annotations

from assistant.services.wording.language import words_for
from assistant.services.wording.text import word_set

VERBS = word_set(
    """
    abrir acabar aceptar acceder aconsejar activar actualizar adelgazar admitir adquirir ahorrar
    alquilar amar amasar analizar anotar anular apagar aparecer apoyar aprender aprobar apuntar
    arreglar asar aumentar ayudar bailar bajar bañar beber bloquear borrar buscar caer calcular
    calentar cambiar caminar cancelar cantar capturar causar cerrar cobrar cocer cocinar coger comer
    comparar compilar completar comprar comprobar concatenar conducir conectar confirmar conocer
    conseguir construir contagiar contar contener contestar contratar convertir copiar corregir
    correr cortar coser costar crear crecer criar cuidar curar dar deber decidir declarar deducir
    defender definir dejar demandar depender desactivar desarrollar desbloquear descargar describir
    descubrir desembocar desinstalar deshacer despedir desplegar destruir detectar devolver
    diagnosticar dibujar disminuir divertir dividir doler dormir durar echar editar ejecutar elegir
    eliminar empezar empeorar encender encontrar enfermar engordar enseñar entender entrar entregar
    enviar escoger escribir escuchar esperar establecer estar estudiar evitar exigir existir
    explicar exportar extraer fabricar facturar fallar faltar firmar formatear freir fumar funcionar
    ganar gastar generar girar gotear grabar guardar gustar haber hablar hacer heredar hervir
    hornear imprimir impugnar incluir indicar informar ingresar iniciar insertar instalar
    intentar invertir invitar ir jugar juntar lavar leer levantar limpiar llamar llegar llenar
    llevar llover mandar manejar matar mejorar mezclar medir mirar modificar mojar montar morir
    mostrar mover nacer nadar necesitar negociar nombrar obtener ocurrir ofrecer oir olvidar ordenar
    organizar pagar parar partir pasar pedir pegar pelar pensar perder permitir pesar picar pintar
    planchar plantar poder poner practicar preferir preguntar preparar prescribir presentar prestar
    probar producir programar prohibir proteger publicar quedar quemar querer quitar recargar
    rechazar recibir reciclar reclamar recoger recomendar reconocer recordar recuperar redactar
    redondear reducir reembolsar regalar regar registrar reiniciar renovar rentar reparar
    repartir repetir reservar resolver responder restablecer restaurar resumir retirar revisar
    romper roncar ronronear saber sacar salir saltar secar seguir sembrar sentir separar ser servir
    significar solicitar solucionar soñar subir sufrir sumar suspender sustituir tardar temer tener
    terminar tirar tocar tomar toser trabajar traducir traer transferir tratar ubicar unir usar
    utilizar validar vencer vender ver viajar vivir volar volver votar
    """
)

ADJECTIVES = word_set(
    """
    abierto agotado alto amargo amarillo ancho anterior antiguo anual automatico azul bajo barato
    blanco blando bonito bueno caliente caro casero central cerrado claro comun conocido continuo
    corriente corto crudo deducible defectuoso delgado derecho diferente dificil digital directo
    disponible dulce duro economico electrico enfermo entero especial español estrecho externo facil
    falso famoso feliz feo final fino flexible frances frio fuerte gordo grande gratis gratuito
    grave gris horizontal humano igual ilegal importante imposible ingles interno inutil izquierdo
    joven justo largo legal lento libre ligero limpio listo lleno local loco malo maximo mayor medico
    medio mejor menor mensual minimo moderno mojado mortal muerto musical nacional natural necesario
    negativo negro neutro normal nuevo obligatorio oficial oscuro parental peligroso peor pequeño
    perfecto pobre popular posible positivo principal privado profundo propio proximo publico puro
    rapido raro recto redondo reciente rico rojo roto saludable sano seco seguro semanal sencillo
    serio simple social solar solo soltero sucio suave tecnico temporal tipico tonto triste unico
    unitario util vacio valido verdadero verde vertical viejo vivo voluntario
    """
)

NOUNS = word_set(
    """
    abogado abril abuela abuelo accidente accion aceite acero acidez actividad actor acuerdo adaptador
    adulto aeropuerto agencia agosto agua aguja aire ajo alarma alcohol alergia algodon algoritmo
    alimento alma almohada alquiler altura amigo amistad amor analgesico analisis anemia anillo
    animal antibiotico antiguedad anuncio año aparato apartamento aplicacion apodo aprendizaje
    arbol archivo area arena arma arroz arte articulo artista asiento asunto ataque atencion auto
    autobus autonomo autopista autor autoridad aval avion ayuda azucar bacteria banco baño bar barco
    barrio base batería bateria bebe bebida beca beneficio biblioteca bicicleta bizcocho boca boda
    bolsa bolsillo bombilla bosque bota boton brazo bronca bucle cabello cabeza cable cadena caja
    cajero calabaza calculo caldera calendario calidad calle calor cama camara camion camisa camino
    campana campo cancion cancer cantidad capacidad capital cara carbon carcel cargador cargo caries
    carne carpeta carrera carretera carta cartera casa casero caso castigo causa celda celular
    centro cereal cerebro certificado cerveza cesta chaqueta chica chico chocolate cielo ciencia
    cifra cigarrillo cine cinta cinturon circulo cita ciudad ciudadano clase clave cliente clima
    clinica cobre coche cocina codigo colegio collar color columna combustible comercio comida
    comision compañia companero comprador compra computadora comunidad concepto conciencia concierto
    condicion conductor conejo conexion conferencia configuracion confianza conflicto conmocion
    consejo constructor consulta consumidor consumo contacto contenedor contenido continente
    contraseña contrato control convocatoria corazon correo cosa costa costumbre creacion crecimiento
    credito crema crimen crisis cristal cuadro cuadra cuantia cubo cuchara cucharada cuchillo cuello
    cuenta cuento cuerda cuero cuerpo cuidado culpa cultura cumpleaños curso daño dato debate decision
    dedo defecto delito demanda democracia dentista deporte derecho desarrollo descripcion descuento
    desempleo desierto deuda deudor dia diabetes diagnostico diagrama diarrea dibujo diccionario
    diciembre diente dieta diferencia dificultad dineros direccion director disco diseño
    distancia distrito dividendo divorcio doctor documento dolor domicilio domingo dosis duda dueño
    dulce duracion edad edicion edificio educacion efecto ejemplo ejercicio ejercito electricidad
    elefante elemento embarazo emergencia emocion empleado empleo empresa energia enero enfermedad
    enfermera enfoque ensalada entrada entrega entrevista envio equipaje equipo error escala escalera
    escuela escritor espacio espalda españa especie espejo esperanza espina esposa esposo esqueleto
    estacion estadio estado estatua estilo estomago estrella estructura estudiante estudio etapa etica
    evento evolucion examen excepcion exceso exito experiencia experto explicacion expresion extranjero
    fabrica factor factura falda familia farmacia febrero fecha fertilizante ficha fideicomiso
    fiebre fiesta figura fila filtro fin firma fisica flor fondo forma formula formulario foto
    fotografia fraccion frase frecuencia frontera fruta fuego fuente fuerza fumador funcion funda
    futbol futuro gafas galleta gas gasolina gasto gato gente gerente gimnasio gobierno gol golpe
    gramo granja grasa grifo gripe grupo guante guerra guia gusto habitacion habito hambre harina
    heredero herencia herida hermana hermano herramienta hielo hierba hierro hija hijo hilo historia
    hogar hoja hombre hombro hora horario horno hospital hotel hueso huevo humedad humo idea idioma
    iglesia imagen impacto impresora impuesto incendio indemnizacion indice industria infarto infeccion
    inflacion informacion informe ingeniero ingrediente inicio inquilino insecto instruccion
    instrumento intento interes internet invierno inversion invitacion isla jabon jardin jefe jornada
    joya juego jueves juez jugador jugo juicio julio junio justicia kilo labio ladrillo ladron lago
    lampara lana lapiz leche lechuga lector lectura lengua lenguaje letra letrado ley leyenda libertad
    libra libro licencia lider limite limon linea liquido lista literatura llave llegada lluvia lobo
    lugar luna lunes luz madera madre maestro maiz maleta manera mano manta mantequilla manzana mapa
    maquina mar marca marido marzo masa mascara material matrimonio mayo medicamento medicina medico
    medida medio memoria mensaje mente mercado mes mesa metal metodo metro microondas miedo miel
    miembro miercoles minuto mitad moda modelo modo molestia momento moneda mono mononucleosis montaña
    monticulo motivo motocicleta motor movil movimiento muchacha mueble muerte mujer mundo muro musculo
    museo musica nacion naranja nariz naturaleza navidad necesidad negocio nervio nieve niña niño
    nivel noche nombre nomina norma norte notario nota noticia novela noviembre nube numero objetivo
    objeto obra oceano octubre oferta oficina ojo olla olor onda opcion operacion opinion orden
    ordenador oreja organo origen oro otoño oxigeno paciente padre pagina pago pais pajaro palabra palo
    pan panel pantalla pantalon pañuelo papel paquete par parada paraguas pared pareja parque parte
    partido pasajero pasaporte pasillo paso pasta pastel patata patio paz peaje pecho pedido pelicula
    peligro pelo pelota pena pensamiento pension perdida periodico periodo permiso perro persiana
    persona personal pescado peso petroleo pez pie piedra piel pierna pila piloto pimienta pintura piso
    pizza plan planeta planta plastico plata plato playa plaza plazo poblacion pobreza poder poema
    policia polimorfismo politica polvo pollo porcentaje posicion postre precio pregunta premio presion
    prestamo presupuesto prevencion primavera principio prisa problema proceso procurador producto
    profesor profesion profundidad programa promesa propiedad propietario proteccion proteina provincia
    proyecto prueba pueblo puente puerta puerto pulmon punto quemadura queso quimica raiz rama raton
    rayo razon reaccion realidad rebajas receta recibo recurso red reembolso reforma regalo region regla
    relacion religion reloj repartidor reparacion republica requisito reserva resfriado residuo
    respuesta restaurante resultado retraso reunion revista rey riesgo rio ritmo robo rodilla ropa rosa
    rueda ruido ruta sabado sabor sal sala salario salida salon salsa salud sangre sandia santo secreto
    sector sed seguridad sello selva semana señal sentido septiembre serie servicio servidor sexo siesta
    siglo significado silla simbolo sintoma sistema sitio situacion sobre socio sociedad sol soldado
    solicitud solucion sombra sombrero sonido sopa sorpresa subasta sueldo suelo sueño suerte sujeto
    suma supermercado sur suscripcion tabaco tabla tamaño tarde tarea tarifa tarjeta tarta tasa taxi
    taza tecla teclado tecnica tecnologia tejado telefono television tema temperatura tension teoria
    terapia testamento texto tia tiempo tienda tierra tijeras tio tipo titulo toalla tomate tono
    tormenta trabajador trabajo traje trafico transporte tren tribunal trigo trimestre tristeza tubo
    turismo turista universidad universo uva vaca vacaciones vacuna valle valor vaso vecino vehiculo
    vela velocidad vendedor ventaja ventana ventas verano verdad verdura version vestido viaje vibracion
    victima vida vidrio viento viernes vinagre vino virus visado visita visitante vista vitamina vivienda
    voluntad voz vuelo yate yema yogur zapato zona zumo
    """
)

NAMES = word_set(
    """
    africa albania alemania america andalucia angola arabia aragon argelia argentina asia asturias
    australia austria barcelona belgica bilbao bogota bolivia brasil buenos bulgaria canada canarias
    cataluña chile china chipre colombia corea cordoba costa croacia cuba dinamarca ecuador egipto
    escocia eslovaquia eslovenia españa estonia etiopia europa filipinas finlandia francia galicia
    georgia ghana gijon granada grecia guatemala haiti honduras hungria india indonesia inglaterra irak
    iran irlanda islandia israel italia jamaica japon jordania kenia lima lisboa lituania londres
    madrid malaga malta marruecos mexico mongolia montevideo murcia navarra nepal nicaragua nigeria
    noruega oviedo pakistan panama paraguay paris peru polonia portugal praga quito roma rumania rusia
    salamanca santiago senegal serbia sevilla siria sudan suecia suiza tailandia tenerife toledo tunez
    turquia ucrania uruguay valencia valladolid venezuela viena vietnam zaragoza
    docker excel java javascript kotlin linux python windows ubuntu
    """
)

_IRREGULAR = words_for(
    """
    poder puedo puedes puede podemos pueden, hacer hago haces hace hacen haz, deshacer deshago
    deshace deshaz, tener tengo tienes tiene tienen ten, contener contiene contienen, obtener
    obtengo obtiene obten, poner pongo pone ponen pon, venir vengo viene vienen, salir salgo sale
    salen, decir digo dice dicen di, traer traigo trae, ver veo ve ven, dar doy da das dan, ir
    voy vas va vamos van, saber sabe sabes saben, conocer conozco conoce, pedir pido pides pide
    piden, seguir sigo sigue siguen, servir sirvo sirve sirven, medir mido mide miden, repetir
    repito repite, elegir elijo elige eligen, corregir corrijo corrige, conseguir consigo consigue,
    despedir despido despide, contar cuento cuenta cuentan, encontrar encuentro encuentra
    encuentran, probar pruebo, mostrar muestro muestra muestran, volver vuelvo vuelve
    vuelven, devolver devuelvo devuelve, resolver resuelvo resuelve, mover muevo mueve, dormir
    duermo duerme duermen, morir muere mueren, jugar juega juegan, doler duele duelen, costar
    cuesta cuestan, cocer cuezo cuece cuecen, hervir hiervo hierve hierven, cerrar cierro cierra
    cierran, empezar empiezo empieza empiezan, pensar pienso piensa, calentar caliento calienta,
    encender enciendo enciende, entender entiendo entiende, perder pierdo pierde, querer quiero
    quieres quiere quieren, sentir siento siente, preferir prefiero prefiere, convertir convierto
    convierte, invertir invierto invierte, transferir transfiero transfiere, recomendar recomiendo
    recomienda recomiendan, negar niego niega, regar riega, llover llueve, freir frie,
    sustituir sustituyo sustituye, construir construyo construye, incluir incluyo incluye incluyen,
    disminuir disminuyo disminuye, destruir destruyo destruye, restablecer restablezco restablece,
    reducir reduzco reduce, traducir traduzco traduce, producir produzco produce, conducir conduzco
    conduce, deducir deduzco deduce, renovar renuevo renueva, aprobar apruebo aprueba, comprobar
    compruebo comprueba, recordar recuerdo recuerda, acostar acuesto acuesta, sembrar siembro
    siembra, escoger escojo escoge, recoger recojo recoge, proteger protejo protege, coger cojo
    coge, vencer venzo vence, exigir exijo exige exigen, bueno buen buena buenos
    buenas, grande gran, malo mal, primero primer, tercero tercer, mes meses, luz luces, vez veces, voz voces, pez peces,
    juez jueces, raiz raices, lapiz lapices, pais paises
    """
)

MISSPELT = words_for(
    """
    cabeza caveza, tambien tanbien, contraseña contrasena, necesito nesecito, español espanol,
    españa espana, mexico mejico, whisky güisqui wiski, yogur yogurt, bicicleta bici
    """
)

# Real words that would pass for slips of the pen.
LOOKALIKES = word_set(
    """
    adoptador aliento bolillo boquear caldear campanero canelar carecimiento carretear cartear cerbero charretera
    comparador conformar constrictor consumador contendedor contender contendor contingente
    contralto contrastar copilar costra cuneta deferencia deferente desmandar despegar despender
    despierto engorar fracturar garbar gotera hornera impasible ladillo mandra manear peguntar
    murete prefecto premiso proscribir quemadora recamar recodar repuesta resultando sobrero tribual
    """
)

VOCABULARY = VERBS | ADJECTIVES | NOUNS | NAMES
_STEMS = {verb[:-2]: verb for verb in VERBS}
_ENDINGS = (
    "amos", "emos", "imos", "ando", "iendo", "ado", "ido", "an", "en", "as", "es", "ar", "er", "ir", "o", "a", "e",
)  # fmt: skip
_PLAIN = str.maketrans("áéíóú", "aeiou")


def fold(word: str) -> str:
    """The word without accents, but for one on its last letter: "habló" is not "hablo"."""
    return word[:-1].translate(_PLAIN) + word[-1] if len(word) > 2 else word


def base_form(word: str) -> str:
    """ "instalo" is "instalar", "paneles" is "panel", "rápidas" is "rapido"."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) < 4 or word in VOCABULARY:
        return word
    singular = _singular(word)
    if singular in NOUNS or singular in ADJECTIVES:
        return singular
    if singular.endswith("a") and singular[:-1] + "o" in ADJECTIVES:
        return singular[:-1] + "o"
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 1 and stem in _STEMS:
            return _STEMS[stem]
    return singular


def _singular(word: str) -> str:
    if word.endswith("ces") and len(word) > 4:
        return word[:-3] + "z"
    if word.endswith("es") and len(word) > 4 and word[-3] in "lnrdsjy":
        short = word[:-2]
        return short if short in VOCABULARY or word[:-1] not in VOCABULARY else word[:-1]
    if word.endswith("s") and len(word) > 3 and word[-2] in "aeo":
        return word[:-1]
    return word
