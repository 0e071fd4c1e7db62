### Modelle: die erste Ansicht, das Regal, was gespeichert ist, und das Laden.

load-model = { $name } laden
resume-model = { $name } fortsetzen
export-model = { $name } exportieren

## Die erste Ansicht

picker-title = Ein Sprachmodell, in diese Seite gewebt.
picker-lead = weft führt offene Modelle in Ihrem Browser aus. Was Sie schreiben, verlässt dieses Gerät nie.
picker-own = Oder ein eigenes GGUF-Modell
picker-address = Adresse der Datei
picker-address-wrong = weft liest Adressen, die mit https:// oder hf: beginnen
picker-file = Datei wählen …
picker-file-hint = oder irgendwo auf dieser Seite ablegen, auch einen Ordner von transformers. Mehrere Dateien sind die Teile eines Modells, oder ein Modell und sein Projektor (mmproj).
picker-import = Datei importieren …
picker-import-hint = behält eine Kopie in diesem Browser, sodass sie beim nächsten Besuch da ist.

## Das Regal der offenen Modelle

shelf-title = Offene Modelle
shelf-hint = Der Browser holt sie vom Hugging Face Hub und behält sie. Die Lizenzen sind die ihrer Urheber.
shelf-use = Für
shelf-any-use = alles
shelf-size = Größe
shelf-any-size = jede Größe
shelf-up-to = bis { $amount }
shelf-none = Kein Modell ist so.
shelf-count = { $found } von { $all } Modellen
shelf-kept = { $amount }, auf diesem Gerät
shelf-weights = { $weights } Gewichte
shelf-mixture = { $all } (davon { $used } je Token)
use-chat = Chat
use-tools = Werkzeuge
use-code = Code
use-reasoning = Schlussfolgern
use-search = Suche

## Was ein Modell hier braucht

facts-memory = Arbeitsspeicher
facts-speed = Tempo
facts-kind = Art
facts-kind-is =
    { $tokens ->
        [one] { $architecture }, { $quantization }, { $weights }, trainiert für { $tokens } Token
       *[other] { $architecture }, { $quantization }, { $weights }, trainiert für { $tokens } Tokens
    }
facts-licence = Lizenz
facts-address = Adresse
facts-reading = Der Kopf der Datei wird gelesen …
facts-at-least = Mindestens die { $amount } der Datei.
facts-unread = Der Kopf der Datei konnte nicht gelesen werden:
facts-loaded = { $loaded }, wenn es geladen ist.
facts-loaded-and-chat =
    { $tokens ->
        [one] { $loaded }, wenn es geladen ist, und { $chat } mehr für einen Chat von { $tokens } Token.
       *[other] { $loaded }, wenn es geladen ist, und { $chat } mehr für einen Chat von { $tokens } Tokens.
    }
facts-fits-gpu = Die GPU dieses Geräts fasst es, wenn so viel Speicher frei ist: Das sagen Browser nicht.
facts-fits-cpu = Dieser Browser bietet keine GPU; die CPU-Engine fasst es, wenn so viel Speicher frei ist: Das sagen Browser nicht.
facts-will-not-fit = Es passt nicht auf dieses Gerät.
facts-what-would = Was passen würde:
obstacle-memory = Es wird nicht passen: Dieses Gerät hat etwa { $memory } Arbeitsspeicher.
obstacle-gpu = Es braucht eine GPU: Die CPU-Engine hat höchstens { $room } Platz.
obstacle-room = Es wird nicht behalten: Der Browser hat noch { $room } Platz.
speed-unknown = Lässt sich nach einer ersten Antwort auf diesem Gerät sagen.
speed-published = Etwa { $least } bis { $most } Token/s, nach den Angaben der Hersteller zu dieser Art GPU ({ $family }).
speed-expected =
    { $speed ->
        [one] Ungefähr { $speed } Token/s: { $name } gab { $measured } auf diesem Gerät.
       *[other] Ungefähr { $speed } Tokens/s: { $name } gab { $measured } auf diesem Gerät.
    }

## Was gespeichert ist

stored-title = Auf diesem Gerät
stored-part = { $amount }, noch nicht ganz
stored-part-label = Heruntergeladener Teil von { $name }
stored-last-used = Zuletzt benutzt am { DATETIME($date, dateStyle: "medium") }.
stored-export = In eine Datei exportieren
stored-and-chats = { $amount }, dazu { $chats } aus Chats
stored-chats = { $amount } aus gelesenen Chats: Sie gehen weiter, ohne noch einmal gelesen zu werden.
stored-forget = Vergessen
    .label = Vergessen, was { $name } von Chats gelesen hat
stored-forgotten = Vergessen ist, was { $name } von Chats gelesen hat. Die Chats sind noch da.
stored-usage = Modelle belegen { $stored } der { $quota }, die diese Seite benutzen darf.
stored-usage-chats = Modelle und was sie von Chats gelesen haben, belegen { $stored } der { $quota }, die diese Seite benutzen darf.
stored-others = Die Seite selbst und andere ihres Servers belegen { $amount }.
stored-persisted = Sie bleiben, bis Sie sie löschen.
stored-not-persisted = Der Browser darf sie löschen, wenn der Platz knapp wird.
stored-meter = Belegter Speicher
stored-persist = Den Browser bitten, sie zu behalten
stored-will-persist = Der Browser behält die Modelle.
stored-refused-short = Der Browser hat nicht zugesagt, die Modelle zu behalten.
stored-refused = Der Browser hat nicht zugesagt. Manche tun es, wenn eine Seite installiert ist oder oft benutzt wird.
stored-deleted = { $name } ist gelöscht.
stored-not-deleted = { $name } konnte nicht gelöscht werden.
stored-exporting = { $name } wird exportiert: { $amount }
stored-exported = { $name } ist exportiert.
stored-not-exported = { $name } konnte nicht exportiert werden. { $error }
stored-importing = { $name } wird importiert, { $amount } …
stored-import-part = Gespeicherter Teil der Datei
stored-imported = { $name } ist in diesem Browser gespeichert.
stored-not-imported = { $name } konnte nicht importiert werden. { $error }

## Laden

loading-start = Die Engine startet
loading-prepare = Vorbereitung: ein erster Lauf des Modells
loading-read = Das Modell wird von diesem Gerät gelesen
loading-download = Das Modell wird heruntergeladen
loading-keeps = Was angekommen ist, bleibt in diesem Browser: Mit „Pause“ halten Sie an, mit „Fortsetzen“ geht es von dort weiter.
loading-pause = Pause
loading-from-store = { $amount } von diesem Gerät
loading-rate = { $amount }/s
loading-almost = gleich fertig
loading-seconds = noch { $seconds } s
loading-minutes = noch { $minutes } min
