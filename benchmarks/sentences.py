"""Everyday Spanish, for translators from Spanish when no file is given."""

SENTENCES = """\
¿Dónde está la biblioteca?
Tengo hambre y quiero comer algo.
Vámonos a casa antes de que llueva.
No sé qué decirte.
Hace mucho frío esta mañana.
Mi hermano trabaja en un hospital.
¿A qué hora sale el último tren?
Ella no quiso contestar a mi pregunta.
Me gusta leer por la noche.
El perro duerme en el jardín.
Perdí las llaves del coche otra vez.
¿Puedes ayudarme con la maleta?
Nunca he visto una película tan larga.
Los niños están jugando en el parque.
Si tuviera dinero, compraría esa casa.
Todavía no ha llegado la carta.
""".splitlines()
