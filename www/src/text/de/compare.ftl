### Zwei Antworten nebeneinander.

compare-left = Links
compare-right = Rechts
compare-no-model = Kein Modell
compare-after =
    { $count ->
        [one] Nach der Runde davor im Chat.
       *[other] Nach den { $count } Runden davor im Chat.
    }
compare-question = Die Frage an beide
compare-ask = Beide fragen
compare-in-turn = Nacheinander, damit das Tempo vergleichbar ist
compare-mark = Unterschiede markieren
compare-model = Modell auf der rechten Seite
compare-same = Dasselbe: { $name }
compare-address = Eine Adresse oder ein Modell des Regals …
compare-address-label = Adresse oder Name eines Modells des Regals
compare-address-choose = Wählen
compare-address-wrong = Das ist keine Adresse, die mit https:// oder hf: beginnt, und kein Modell des Regals heißt so
compare-file = Eine eigene Datei …
compare-loading = Das zweite Modell wird geladen
compare-load = Dazuladen
compare-load-first = Laden Sie zuerst das zweite Modell.
compare-second-ready = Das zweite Modell ist bereit.
compare-stopped = Die Antworten wurden angehalten.
compare-complete = Beide Antworten sind vollständig.
compare-rate = Tokens je Sekunde
compare-first = Erstes Token
compare-tokens = Tokens
compare-ready = Modell bereit
compare-unlike = { $setting }: { $value }
second-reading = Es wird gelesen, was es braucht …
second-does-not-fit = Es passt nicht: { $reason }
second-no-memory = Für beide Modelle zugleich ist nicht genug Arbeitsspeicher da. Wählen Sie ein kleineres.
second-memory = Es belegt etwa { $second } Arbeitsspeicher, neben { $first } des ersten Modells.
second-tight = Das ist vielleicht mehr, als dieses Gerät übrig hat.
