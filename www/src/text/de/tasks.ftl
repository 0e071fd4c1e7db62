### Die Aufgaben: ihre Karten, Formulare und Ergebnisse.

tasks-lead = Was ein Modell in dieser Seite kann. Jede Aufgabe besteht aus wenigen Zeilen Code und zeigt sie.
tasks-write = Schreiben
tasks-read = Lesen und ordnen
tasks-find = Finden

task-chat = Eine Frage, und jemand, der sie beantwortet.
    .title = Chat
task-summarise = Ein langer Text in wenigen Sätzen.
    .title = Zusammenfassen
task-translate = Ein Text aus einer Sprache in eine andere.
    .title = Übersetzen
task-rewrite = Dieselbe Nachricht in einem anderen Ton.
    .title = Umschreiben
task-code = Code aus einer Beschreibung.
    .title = Code schreiben
task-fill = Was zwischen zwei Stücke Code gehört.
    .title = Eine Lücke im Code füllen
task-maths = Eine Textaufgabe, mit dem Weg zur Lösung.
    .title = Schritt für Schritt lösen
task-classify = Welches Ihrer Labels zu einem Text passt.
    .title = Einordnen
task-sentiment = Ob ein Text positiv oder negativ ist.
    .title = Stimmung
task-entailment = Ob ein Satz aus einem anderen folgt, ihm widerspricht oder keins von beiden.
    .title = Folgerung
task-extract = Angaben aus einem Text, in den Feldern, die Sie wählen.
    .title = Ein Formular ausfüllen
task-documents = Fragen zu PDF-Dateien und Texten, mit Belegen beantwortet.
    .title = Dateien befragen
task-search = Stellen Ihrer Dateien, die meinen, was Sie suchen, mit welchen Wörtern auch immer.
    .title = Nach Bedeutung suchen
task-compare = Wie ähnlich sich zwei Texte in der Bedeutung sind.
    .title = Texte vergleichen

need-chat = braucht ein Chat-Modell
need-infill = braucht ein Code-Modell
need-own-labels = braucht ein Modell, das Text schreibt
need-labels = braucht ein Modell, das Text schreibt, oder einen Klassifikator
need-embed = braucht ein Embedding-Modell

lacks-chat = Dieses Modell hat keine Chatvorlage: Es setzt Texte fort und wurde nicht darauf trainiert, Anweisungen zu folgen. Laden Sie eines, in dessen Namen Instruct, Chat oder it steht.
lacks-chat-encoder = Dieses Modell ist ein Encoder: Es liest Text und schreibt keinen. Laden Sie einen Decoder, der chattet.
lacks-infill = Dieses Modell hat keine Tokens, um eine Lücke zu füllen. Code-Modelle haben sie: Qwen2.5-Coder, StarCoder, CodeGemma, Granite.
lacks-own-labels = Dieses Modell ist ein Encoder mit eigenen Labels: { $labels }. Ihre Labels brauchen einen Decoder.
lacks-any-labels = Dieses Modell ist ein Encoder, dem man keine Labels geben kann. Laden Sie einen Decoder.
lacks-labels = Dieses Modell ist ein Encoder ohne Klassifikator. Laden Sie einen Decoder oder einen Encoder, der für diese Aufgabe trainiert wurde.
lacks-embed = Dieses Modell gibt keine Vektoren. Laden Sie ein Embedding-Modell: einen Encoder wie MiniLM, bge oder e5, oder Qwen3-Embedding.

## Eine Karte

task-back = ← Alle Aufgaben
task-run = Ausführen
task-ask = Fragen
task-needs-embedder = Laden Sie zuerst ein Embedding-Modell.
task-result = Ergebnis
task-result-stopped = Ergebnis, angehalten
task-stopped = Angehalten.
task-complete = Das Ergebnis ist vollständig.
task-copy = Ergebnis kopieren
task-thoughts = Was das Modell gedacht hat
task-similarity = Ähnlichkeit
task-similarity-hint = Der Kosinus der beiden Vektoren: 1 für denselben Text. Was als ähnlich gilt, ist von Modell zu Modell verschieden.
labels-two = Nennen Sie mindestens zwei Labels.
yes = ja
no = nein

## Die Felder der Formulare

field-role = Wer antwortet
    .hint = Die Systemnachricht. Leer: das Modell, wie es ist.
field-question = Frage
field-looked-for = Was gesucht wird
field-text = Text
field-length = Länge
field-from = Von
field-to = In
field-tone = Ton
field-what = Was er tun soll
field-language = Sprache
field-before = Vor der Lücke
field-after = Hinter der Lücke
field-problem = Aufgabe
field-labels = Labels
    .hint = Mindestens zwei, mit Kommas dazwischen.
field-premise = Voraussetzung
field-hypothesis = Hypothese
field-first = Erster Text
field-second = Zweiter Text

length-sentence = ein Satz
length-sentences = drei Sätze
length-paragraph = ein Absatz
length-points = fünf Stichpunkte
tone-formal = höflich und förmlich
tone-friendly = freundlich
tone-plain = kurz und schlicht
tone-enthusiastic = begeistert
tone-child = leicht zu lesen für ein Kind

## Beispiele für das Modell

rows-title = Beispiele ({ $count })
rows-hint = Sie stehen im Prompt vor dem Text und zeigen dem Modell, was gewünscht ist.
rows-add = Beispiel hinzufügen
rows-input = Eingabe { $number }
rows-output = Ausgabe { $number }
rows-choose = Label wählen
rows-remove = Beispiel { $number } entfernen
rows-keep = Als Beispiel behalten
rows-kept = Als Beispiel behalten.

## Ein Formular, das ausgefüllt wird

extract-run = Formular ausfüllen
extract-no-field = Fügen Sie zuerst ein Feld hinzu.
extract-cut = Die Antwort wurde abgeschnitten, bevor das Formular voll war.
extract-not-filled = nicht ausgefüllt
schema = Felder des Formulars
schema-add = Feld hinzufügen
schema-name = Name { $number }
schema-type = Typ { $number }
schema-choices = Auswahl { $number }, mit Kommas dazwischen
schema-required = Erforderlich
schema-remove = Feld { $number } entfernen
schema-taken = Ein anderes Feld hat diesen Namen.
type-text = Text
type-number = Zahl
type-yes-or-no = ja oder nein
type-date = Datum
type-choice = Auswahl
type-list = Liste

## Dateien

files = Dateien
files-hint = Wählen Sie PDF-Dateien und Texte oder legen Sie sie hier ab, auch einen Ordner. Sie werden in dieser Seite gelesen und gehen nirgendwohin.
files-choose = Dateien wählen …
files-folder = Ordner wählen …
files-clear = Alle entfernen
files-example = Beispiel verwenden
files-first = Wählen Sie zuerst eine Datei oder verwenden Sie das Beispiel.
files-reading = { $name } wird gelesen …
files-were-read =
    { $count ->
        [one] { $count } Stelle wurde gelesen.
       *[other] { $count } Stellen wurden gelesen.
    }
files-vectors =
    { $done ->
        [one] { $done } von { $all } Stellen hat einen Vektor.
       *[other] { $done } von { $all } Stellen haben Vektoren.
    }
files-by-words = Ohne Embedding-Modell ist dies eine Suche nach Wörtern: Stellen werden durch die Wörter gefunden, die sie mit der Frage gemeinsam haben, nicht durch das, was sie bedeuten.
files-read = Was das Modell gelesen hat
files-found-by-words = An ihren Wörtern gefunden.
files-no-passage = Keine Stelle enthält ein Wort der Frage.
files-passage = Stelle { $number }
files-page = { $file }, Seite { $page }
files-nothing = Nichts wurde gefunden.
file-passages =
    { $count ->
        [one] { $count } Stelle
       *[other] { $count } Stellen
    }
file-passages-note = { $passages }; { $note }
file-has-no-text = hat keinen Text: Sind die Seiten Bilder?
file-cannot-be-read = kann nicht gelesen werden: { $error }
pdf-not-in-copy = diese Kopie der Seite hat sie nicht
pdf-no-network = sie wird geholt, wenn sie zum ersten Mal gebraucht wird, und es gibt kein Netz
pdf-needs-map = der Text braucht die Zeichentabelle { $name }: { $why }
pdf-needs-font = Buchstaben mit Akzenten fehlen vielleicht; sie brauchen die Schrift { $name }: { $why }
file-is-no-text = weder ein PDF noch Text in UTF-8

## Das Modell, das Vektoren gibt

embedder = Embedding-Modell
embedder-own = Das geladene Modell gibt die Vektoren.
embedder-is = { $name } gibt die Vektoren.
embedder-other = Ein anderes nehmen
embedder-none = Kein Modell ist geladen, das Vektoren gibt.
embedder-here = Es kann hier geladen werden, neben dem anderen.
embedder-minilm = { $name }, für Englisch ({ $size })
embedder-stored = { $name }, auf diesem Gerät
embedder-address = Von einer Adresse …
embedder-address-label = Adresse des Modells
embedder-file = Aus einer Datei …
embedder-file-label = Datei des Modells
embedder-loaded = Das Embedding-Modell ist geladen.
