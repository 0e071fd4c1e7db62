### Der Inspektor.

inspector-title = Im Inneren des Modells
inspector-back = Zurück zum Chat
inspector-lead = Was ein Sprachmodell sieht, wie es das gewichtet und wie es zu seinem nächsten Wort kommt.
inspector-no-model = Noch ist kein Modell geladen. Wählen Sie eines und sehen Sie hier, wie es liest und schreibt.
inspector-remote = Dieses Modell läuft auf einem Server, der seine Antworten gibt und nichts von dem, was im Inneren geschieht. Laden Sie ein Modell in die Seite, um hineinzusehen.
inspector-reading = Wird gelesen …
inspector-text = Ein Text zum Ansehen
inspector-look = Ansehen
inspector-conversation = Das Gespräch bis zur Antwort, mit den Marken, die die Chatvorlage des Modells um jede Nachricht setzt.
inspector-own-text = Einen eigenen Text ansehen
inspector-encoder = Dieses Modell ist ein Encoder: Es liest einen Text auf einmal und schreibt nichts. Darum gibt es kein nächstes Token zu sehen, auch nicht, was jede Schicht sagen würde; seine Positionen, Nachbarn und Kosten werden ebenfalls nicht gezeigt.

## Die Abschnitte

computing = Wird berechnet …
compute = Berechnen
source-of-panel = Quelltext dieses Abschnitts
panel-experts = Manche Modelle haben mehrere Feed-Forward-Netze in einer Schicht, und ein Router wählt für jedes Token einige dieser „Experten“ aus. So rechnet ein großes Modell immer nur mit einem Teil von sich.
    .title = Welche Experten gefragt werden
panel-lens = Jede Schicht fügt der Zahlenreihe, zu der ein Token geworden ist, etwas hinzu, und hier liest der Ausgabekopf des Modells diese Reihen vorzeitig. Von der ersten Schicht zur letzten sieht man, wie aus Vermutungen die Antwort wird; eine längere Linie unter einer Vermutung heißt, dass sie sicherer ist.
    .title = Was jede Schicht sagen würde
panel-neighbours = Für das Modell ist ein Token ein Punkt unter Tausenden von Richtungen, und Tokens, die ähnlich gebraucht werden, liegen in fast derselben. Nehmen Sie einen der Nachbarn, um von dort weiterzugehen, und wählen Sie ein Token des Textes oben, um zurückzukommen.
    .title = Tokens, die nahe liegen
panel-next = Ein Modell wählt kein Wort: Es gibt jedem Token seines Vokabulars eine Wahrscheinlichkeit (hohle Balken), und der Sampler formt diese um, bevor eines gezogen wird (gefüllte Balken). Bewegen Sie die Regler, um zu sehen, was jeder tut, und nehmen Sie irgendein Token, um von dort weiterzugehen.
    .title = Was als Nächstes kommt
panel-norms = Ein Token reist als Zahlenreihe, der Residualstrom, durch die Schichten, und jede Schicht fügt etwas hinzu: Die Linie ist die Länge dieser Reihe. Das erste Token liegt oft weit über den anderen, weil so viele Köpfe auf ihm ruhen.
    .title = Wie viel jede Schicht hinzufügt
panel-rotations = Bevor zwei Tokens verglichen werden, werden Paare ihrer Zahlen wie Uhrzeiger gedreht, für jede Position weiter: So spürt das Modell, wie weit sie voneinander entfernt sind. Schnelle Zeiger unterscheiden Nachbarn, langsame unterscheiden nah und fern.
    .title = Woher es die Reihenfolge kennt
panel-timing = Um ein Token zu lesen, geht das Modell einmal durch fast alle seine Gewichte; die Zeit ist also vor allem die, Bytes zu holen. Tokens, die es schon gelesen hat, müssen nicht neu berechnet werden: Ihre Keys und Values sind gemerkt.
    .title = Was es kostet
panel-attention = Jedes Token sammelt von sich selbst und den Tokens davor, in jedem von vielen Köpfen: Je stärker die Markierung, desto mehr nimmt es. Wählen Sie ein Token, dann einen Kopf, und sehen Sie, wohin er blickt; vieles geht an das allererste Token, das als Ruheplatz dient.
    .encoder = Jedes Token sammelt von allen Tokens des Textes, in jedem von vielen Köpfen: Je stärker die Markierung, desto mehr nimmt es. Wählen Sie ein Token, dann einen Kopf, und sehen Sie, wohin er blickt; vieles geht an das allererste Token, das als Ruheplatz dient.
    .title = Wohin jedes Token blickt

## Zahlen und Tokens

layer = Schicht
layer-label = Schicht
tokens =
    { $count ->
        [one] { $count } Token
       *[other] { $count } Tokens
    }
share-of = { $token } { $share }
token-at = { $token } ({ $place })

## Der Text als Tokens

tokens-title = Der Text als Tokens
tokens-says = Ein Modell liest keine Buchstaben und keine Wörter, sondern Tokens: Textstücke mit je einer Nummer. Wählen Sie eines, um seine Nummer und seine Bytes zu sehen, und wie wahrscheinlich das Modell es dort fand.
tokens-list = Tokens des Textes
tokens-none = Es gibt keine Tokens.
token-place = { $token }, Token { $place } von { $of }
token-id = ID { $id }
token-bytes =
    { $count ->
        [0] keine Bytes
        [one] Byte { $bytes }
       *[other] Bytes { $bytes }
    }
token-special = besonders: eine Marke, kein Text
token-logprob = Log-Wahrscheinlichkeit { $logprob }, das sind { $share }

## Wohin jedes Token blickt

attention-cost = Der Text ist lang, darum wird eine Schicht nach der anderen berechnet.
attention-skip = Das erste Token auslassen
attention-tokens = Tokens, markiert danach, wie viel das gewählte von ihnen liest
attention-nothing = nichts anderes
attention-detail =
    { $where ->
        [all] { $skips ->
            [yes] Im Mittel über alle Schichten blickt { $token } auf { $seen }; das erste Token hat { $first }.
           *[no] Im Mittel über alle Schichten blickt { $token } auf { $seen }.
        }
        [layer] { $skips ->
            [yes] In Schicht { $layer }, im Mittel über ihre Köpfe, blickt { $token } auf { $seen }; das erste Token hat { $first }.
           *[no] In Schicht { $layer }, im Mittel über ihre Köpfe, blickt { $token } auf { $seen }.
        }
       *[head] { $skips ->
            [yes] In Schicht { $layer }, Kopf { $head }, blickt { $token } auf { $seen }; das erste Token hat { $first }.
           *[no] In Schicht { $layer }, Kopf { $head }, blickt { $token } auf { $seen }.
        }
    }
attention-grid = Schichten und Köpfe
attention-heads = Köpfe jeder Schicht
attention-mean = Mittel
attention-all = alle
attention-cells =
    { $layers ->
        [one] { $layers } Schicht mit { $heads ->
            [one] { $heads } Kopf
           *[other] { $heads } Köpfen
        }. Eine Zelle ist so weit gefüllt, wie { $token } dort von einem anderen Token nimmt.
       *[other] { $layers } Schichten mit je { $heads ->
            [one] { $heads } Kopf
           *[other] { $heads } Köpfen
        }. Eine Zelle ist so weit gefüllt, wie { $token } dort von einem anderen Token nimmt.
    }
attention-hardest = Über seine Nachbarn hinaus blickt es am stärksten in { $head }, auf { $token }.
attention-head = Schicht { $layer }, Kopf { $head }
attention-cell =
    { $where ->
        [all] Alle Schichten
        [layer] Schicht { $layer }, alle Köpfe
       *[head] Schicht { $layer }, Kopf { $head }
    }
attention-cell-most = { $cell }: am meisten auf { $token }, { $share }

## Was als Nächstes kommt

next-sampler = Sampler
next-constraint = Vorgabe
next-constraint-none = Keine
next-constraint-choices = Auswahl, eine je Zeile
next-constraint-regex = Regulärer Ausdruck
next-matches = Was von hier an geschrieben wird, passt auf
next-is = Was von hier an geschrieben wird, ist
next-no-token = Kein Token passt: Die Antwort endet hier.
next-stages = Nach welcher Stufe
next-left = { $count } übrig
next-likeliest = Das wahrscheinlichste nehmen
next-draw = Eines ziehen
next-forget = Zweige vergessen
next-tokens = Tokens, die als Nächstes kommen können
next-go-on = Mit { $token } weitergehen
next-taken = { $token } wurde genommen.
next-taken-at = { $share }, als es genommen wurde
next-branches = Zweige
next-end = Ende des Textes
    .title = Zurück zum Ende des Textes

## Die übrigen Abschnitte

lens-cost =
    { $rows ->
        [one] Der Ausgabekopf liest { $rows } Reihe, was einige Sekunden dauern kann.
       *[other] Der Ausgabekopf liest { $rows } Reihen, was einige Sekunden dauern kann.
    }
lens-positions = Positionen
lens-last =
    { $count ->
        [one] die letzte
       *[other] die letzten { $count }
    }
lens-group = Vermutungen der Schichten
lens-table = Wahrscheinlichstes nächstes Token nach Schicht und Position
lens-after = nach Schicht
lens-arrow = →
lens-detail = Nach Schicht { $layer }, hinter { $token }: { $guesses }.
experts-none = Dieses Modell ist keine Mischung: Jedes Token geht in jeder Schicht durch ein Feed-Forward-Netz.
experts-for = Experten für { $token }:
experts-table = Experten nach Schicht
experts-shares = Experten und ihre Anteile
chart-table = Als Tabelle
    .label = { $chart }, als Tabelle
near-token = Ein Token
near-find = Finden
near-of = Nahe bei { $token }:
near-list = Nächste Tokens
near-go = Nachbarn von { $token }
norms-chart = Länge des Residualstroms nach jeder Schicht
rotations-none = Dieses Modell dreht nicht: Es kennt Positionen auf andere Weise oder gar nicht.
rotations-group = Drehungen nach Paar und Position
rotations-layers = Schichten { $layers }:
rotations-caption =
    { $pairs ->
        [one] { $pairs } Paar von Zahlen in jedem Kopf; { $shown } davon an { $positions ->
            [one] der ersten Position
           *[other] den ersten { $positions } Positionen
        }
       *[other] { $pairs } Paare von Zahlen in jedem Kopf; { $shown } davon an { $positions ->
            [one] der ersten Position
           *[other] den ersten { $positions } Positionen
        }
    }
rotations-pair = Paar
rotations-turn = eine volle Drehung braucht
rotations-positions = an jeder Position
rotations-no-turn = keine Drehung
rotations-dials = Paar { $pair }, eine Drehung braucht { $takes }
timing-cost = Die Engine wartet nach jeder Operation, darum ist dies langsamer als sonst.
timing-remembered =
    { $tokens ->
        [one] { $cached } von { $tokens } Token gemerkt; die Zeiten sind die für das Lesen aller.
       *[other] { $cached } von { $tokens } Tokens { $cached ->
            [one] ist
           *[other] sind
        } gemerkt; die Zeiten sind die für das Lesen aller.
    }
timing-table = Operationen nach Zeit
timing-operation = Operation
timing-times = Male
timing-bytes = Bytes
timing-milliseconds = Millisekunden
timing-chart = Millisekunden jeder Operation in jeder Schicht
