"""Everyday Spanish for translators from Spanish, and English requests for classifiers, where no file is given."""

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

REQUESTS = """\
play some jazz on spotify
what will the weather be like in lisbon tomorrow
book a table for two at a quiet restaurant near the station
add this song to my running playlist
i give this book four stars
find me the schedule of films at the nearest cinema
where can i read the novel about the lighthouse
will it rain this evening in porto
put on something slow by a singer from the sixties
rate the current chapter two out of six
""".splitlines()
"""Everyday requests to a voice assistant, for classifiers that are fed word by word."""
