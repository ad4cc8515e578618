"""Spanish words for the same, by which answers do not differ, and words against each other."""

from __future__ import annotations

from assistant.services.wording.language import opposites, words_for

SYNONYMS = words_for(
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

OPPOSITES = opposites(
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
