### Der Rahmen der Seite und der Chat.

title = weft: ein Sprachmodell in dieser Seite
skip = Zum Eingabefeld springen
drop = GGUF-Datei oder Ordner hier ablegen, um das Modell zu laden, oder ein Bild, um danach zu fragen
latest = Zum Ende
examples = Beispiele

## Schaltflächen und Wörter vieler Stellen

done = Fertig
cancel = Abbrechen
close = Schließen
save = Speichern
send = Senden
stop = Stopp
stopping = Wird angehalten.
copy = Kopieren
copied = Kopiert
copy-refused = Nicht erlaubt
answer-image = [Bild: { $description }]
code-copy = Code kopieren
load = Laden
load-it = Laden
resume = Fortsetzen
delete = Löschen
delete-one = { $name } löschen
remove = Entfernen
undo = Rückgängig
search = Suche
none = keine
model = Modell
engine = Engine
context = Kontext
storage = Speicher
choose-model = Modell wählen
no-model-loaded = Kein Modell ist geladen.
a-file = eine Datei
view-source = Quelltext ansehen
amount-of = { $amount } von { $total }
seconds = { NUMBER($seconds, minimumFractionDigits: 2, maximumFractionDigits: 2) } s
weights-millions =
    { NUMBER($count, maximumFractionDigits: 0) ->
        [one] { NUMBER($count, maximumFractionDigits: 0) } Million Gewichte
       *[other] { NUMBER($count, maximumFractionDigits: 0) } Millionen Gewichte
    }
weights-billions = { NUMBER($count, minimumFractionDigits: 1, maximumFractionDigits: 1) } Milliarden Gewichte

## Der Kopf

nav = Seite
nav-model = Modell
nav-chat = Chat
nav-tasks = Aufgaben
nav-compare = Vergleich
nav-chats = Chats
nav-new-chat = Neuer Chat
nav-menu = Menü
nav-inspector = Inspektor
nav-settings = Einstellungen
back-chat = ← Zurück zum Chat
back-compare = ← Zurück zum Vergleich
back-inspector = ← Zurück zum Inspektor
back-tasks = ← Zurück zu den Aufgaben

## Der Chat

conversation = Gespräch
chat-ready = Das Modell ist da. Fragen Sie es etwas.
chat-no-model = Noch ist kein Modell geladen.
chat-tasks = Oder eine Aufgabe: zusammenfassen, übersetzen, ein Formular ausfüllen, ein PDF befragen …
chat-compare = Oder zwei Modelle oder zwei Einstellungen vergleichen
chat-empty = Leer
chat-deleted-elsewhere = Dieser Chat wurde in einem anderen Tab gelöscht.
branch-of = Zweig von { $title }
branch-made = Der Zweig ist ein eigener Chat.
answer-stopped = Die Antwort wurde angehalten.
answer-complete = Die Antwort ist vollständig.

composer-label = Ihre Nachricht
composer-placeholder = Fragen Sie etwas
composer-hint = Enter sendet, Shift und Enter beginnt eine neue Zeile, Escape hält eine Antwort an oder verlässt das Feld.
composer-hint-touch = Enter beginnt eine neue Zeile, die Schaltfläche „Senden“ sendet.

picture-add = Bild hinzufügen
picture-added = Bild { $number } hinzugefügt.
picture-remove = Bild { $number } entfernen
picture-blind = Dieses Modell liest keine Bilder. Eines, das es kann, braucht einen Projektor: Wählen Sie dessen Datei (mmproj) zusammen mit der des Modells.
picture-unread = Dieser Browser kann dieses Bild nicht lesen.
pictures = Bilder
picture = Bild { $number }

turn-you = Sie
turn-question = Frage
turn-answer = Antwort
turn-no-answer = Keine Antwort.
turn-copy = Antwort kopieren
turn-look = Hineinsehen
turn-go-on = Weiterschreiben
turn-more = Mehr
turn-regenerate = Neu erzeugen
    .title = Eine andere Antwort; ist die Temperatur 0, wird mit { $temperature } gewählt
turn-edit = Bearbeiten
    .label = Frage bearbeiten
turn-edited = Die Frage
turn-versions = Fassungen dieser Runde
turn-version = Fassung
turn-previous = Vorige Fassung
turn-next = Nächste Fassung
turn-branch = Neuer Chat ab hier
    .title = Ein neuer Chat mit den Runden bis zu dieser
turn-compare = Vergleichen
    .title = Antworten von zwei Modellen oder mit zwei Einstellungen auf diese Frage
turn-delete = Löschen
    .title = Löscht diese Frage und ihre Antwort
turn-deleted = Die Runde ist gelöscht.

## Unter einer Antwort

stats-interrupted = unterbrochen
stats-abort = angehalten
stats-length = bei der längsten Antwort abgeschnitten
stats-full = der Kontext ist voll
stats-rate = { NUMBER($rate, minimumFractionDigits: 1, maximumFractionDigits: 1) } Tokens/s
stats-first = erstes nach { NUMBER($seconds, minimumFractionDigits: 2, maximumFractionDigits: 2) } s
stats-tokens =
    { $tokens ->
        [one] { $tokens } Token
       *[other] { $tokens } Tokens
    }
stats-steps = { NUMBER($rate, minimumFractionDigits: 1, maximumFractionDigits: 1) } je Schritt
stats-prompt = Prompt { $tokens }
stats-prompt-cached = Prompt: { $cached } von { $tokens } gemerkt

## Die Zeile unter dem Eingabefeld

engine-details = Das Modell und seine Engine
engine-model = { $name }, { $quantization }, { $weights }
engine-on = auf der { $kind } ({ $description }) · { $memory }
engine-reason = Warum diese Engine
context-used =
    { $of ->
        [one] { $tokens } von { $of } Token
       *[other] { $tokens } von { $of } Tokens
    }
context-meter = Belegter Kontext
context-was-full = Der Kontext war voll: Das Modell sieht die ältesten Nachrichten nicht mehr.
context-nearly-full = Der Kontext ist fast voll. Bald vergisst das Modell die ältesten Nachrichten.

## Die Chats

chats-none = Es gibt noch keine Chats.
chats-not-found = Kein Chat enthält diese Wörter.
chats-kept = Chats bleiben in diesem Browser und nirgends sonst.
chats-changed = { DATETIME($date, dateStyle: "medium", timeStyle: "short") }
chats-name = Name des Chats
chats-rename = Umbenennen
    .label = { $title } umbenennen
chats-export = Exportieren
    .label = { $title } exportieren
chats-markdown = Als Markdown
chats-json = Als JSON, mit allen Fassungen
chats-export-all = Alle exportieren
chats-import = Importieren …
chats-deleted = { $title } ist gelöscht.
chats-undo = Rückgängig: { $title } behalten
chats-deleted-undo = Der Chat ist gelöscht. „Rückgängig“ bringt ihn zurück.
chats-imported =
    { $count ->
        [one] { $count } Chat wurde importiert.
       *[other] { $count } Chats wurden importiert.
    }
chats-were-here =
    { $count ->
        [one] { $count } war schon hier.
       *[other] { $count } waren schon hier.
    }
import-no-chats = Diese Datei enthält keine Chats von weft: Wählen Sie eine, die „Exportieren“ geschrieben hat.
import-damaged = Diese Datei ist beschädigt: { $error }.

## Die Einstellungen

settings-title = Einstellungen
settings-of-new-chats = Diese gelten für neue Chats. Jeder Chat hat seine eigenen.
settings-of-chat = System-Prompt, Sampling und Länge gelten nur für diesen Chat.
settings-are-usual = Neue Chats beginnen hiermit
settings-make-usual = Auch neue Chats hiermit beginnen
settings-made-usual = Neue Chats beginnen mit diesen Einstellungen.
settings-sampling = Sampling
settings-length = Länge
settings-speed = Tempo
settings-loading = Laden
settings-need-reload = Diese beiden wirken, wenn das Modell neu geladen wird.
settings-reload = Neu laden
settings-reset = Alle Einstellungen zurücksetzen
settings-page = Diese Seite
settings-language = Sprache
settings-language-failed = Diese Sprache kam nicht an. Laden Sie die Seite neu und wählen Sie sie noch einmal.

setting-systemPrompt = System-Prompt
    .hint = Steht vor dem Gespräch. Leer: der des Modells.
setting-temperature = Temperatur
    .hint = 0 nimmt immer das wahrscheinlichste Token, was kleinen Modellen guttut; höhere Werte sind abwechslungsreicher.
setting-topK = Top k
    .hint = Behält die k wahrscheinlichsten Tokens; 0 behält alle.
setting-topP = Top p
    .hint = Behält die wahrscheinlichsten Tokens, deren Wahrscheinlichkeiten zusammen p ergeben; 1 behält alle.
setting-minP = Min p
    .hint = Verwirft Tokens, die weniger wahrscheinlich sind als dieser Anteil des besten; 0 behält alle.
setting-repetitionPenalty = Strafe für Wiederholung
    .hint = Macht jüngst benutzte Tokens unwahrscheinlicher; 1 ändert nichts.
setting-frequencyPenalty = Strafe für Häufigkeit
    .hint = Senkt ein Token für jede jüngste Verwendung; 0 ändert nichts.
setting-presencePenalty = Strafe für Vorkommen
    .hint = Senkt ein Token, das jüngst vorkam; 0 ändert nichts.
setting-seed = Startwert
    .hint = Gleicher Startwert und gleiches Gespräch ergeben die gleiche Antwort.
    .placeholder = zufällig
setting-maxTokens = Längste Antwort, in Tokens
    .short = Längste Antwort
    .placeholder = bis der Kontext voll ist
setting-stop = Stoppzeichenketten
    .hint = Eine je Zeile. Die Antwort endet vor jeder von ihnen.
setting-speculate = Entwürfe
    .hint = Errät, was sich wiederholt: mehrere Tokens je Schritt. Die Antwort bleibt dieselbe.
setting-speculate-lookup = Aus wiederholtem Text
setting-speculate-off = Keine
setting-device = Gerät
setting-device-auto = Automatisch
setting-device-gpu = GPU (WebGPU)
setting-device-cpu = CPU (WebAssembly)
setting-contextLength = Kontextlänge, in Tokens
    .short = Kontextlänge
    .hint = Gespräch und Antwort zusammen; mehr braucht mehr Arbeitsspeicher.
    .placeholder = automatisch, höchstens 2048

## Tastenkürzel

shortcuts-title = Tastenkürzel
shortcuts-writing = Während die Frage geschrieben wird
shortcuts-reading = Während nichts geschrieben wird
shortcuts-on = Einzelne Tasten sind Kürzel
shortcut-send = Geschriebenes senden
shortcut-new-line = Neue Zeile beginnen
shortcut-stop = Antwort anhalten; ohne Antwort das Feld verlassen
shortcut-new-chat = Neuen Chat beginnen
shortcut-prompt = Frage schreiben
shortcut-edit = Letzte Frage bearbeiten
shortcut-regenerate = Letzte Frage neu beantworten
shortcut-copy = Letzte Antwort kopieren
shortcut-previous = Vorige Fassung einer Runde
shortcut-next = Nächste Fassung einer Runde
shortcut-chats = Chats öffnen
shortcut-settings = Einstellungen öffnen
shortcut-model = Modell wählen
shortcut-compare = Zwei Modelle oder zwei Einstellungen vergleichen
shortcut-help = Diese Tastenkürzel zeigen
