### Tokens und Zahlen, und das neueste Token einer Antwort.

quoted = „{ $text }“
percent-less = < { $share }
next-cut = entfernt durch { $stage }
next-less = weniger
next-figures = { $before } → { $after }
stage-model = Modell
stage-penalties = Strafen
stage-logitBias = Bias-Werte
stage-constraint = Vorgabe
stage-temperature = Temperatur
stage-topK = Top k
stage-topP = Top p
stage-minP = Min p

live-title = Beim Schreiben hineinsehen
live-ask = Fragen Sie etwas: Jedes Token wird hier gezeigt, wenn es gezogen wird.
live-times = Auch die Zeiten der Operationen
live-slower = Antworten sind langsamer, während dies offen ist: Die Schichten jedes Schritts werden einzeln berechnet.
live-slower-times = Antworten sind langsamer, während dies offen ist: Die Schichten jedes Schritts werden einzeln berechnet, und die Engine wartet nach jeder Operation.
live-drawn = { $token } wurde gezogen, mit { $share } nach dem Sampler;
live-drawn-alone = { $token } wurde gezogen;
live-remembered =
    { $count ->
        [one] { $count } Token ist gemerkt.
       *[other] { $count } Tokens sind gemerkt.
    }
live-cut = entfernt
live-tokens = Tokens, aus denen es gezogen wurde
live-operations = { $time } ms in Operationen: { $longest }
