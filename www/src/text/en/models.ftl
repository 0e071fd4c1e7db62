### Models: the first view, the shelf, what is stored, and loading.

load-model = Load { $name }
resume-model = Resume { $name }
export-model = Export { $name }

## The first view

picker-title = A language model, woven into this page.
picker-lead = weft runs open models inside your browser. What you type never leaves this device.
picker-own = Or bring your own GGUF model
picker-address = Address of the file
picker-address-wrong = weft reads addresses that begin with https:// or hf:
picker-file = Choose a file…
picker-file-hint = or drop it anywhere on this page, or a folder of transformers. Several files are the parts of one model, or a model and its projector (mmproj).
picker-import = Import a file…
picker-import-hint = keeps a copy in this browser, so that it is here on the next visit.

## The shelf of open models

shelf-title = Open models
shelf-hint = The browser fetches them from the Hugging Face hub, and keeps them. Licences are their makers’.
shelf-use = For
shelf-any-use = anything
shelf-size = Size
shelf-any-size = any size
shelf-up-to = up to { $amount }
shelf-none = No model is like that.
shelf-count = { $found } of { $all } models
shelf-kept = { $amount }, on this device
shelf-weights = { $weights } weights
shelf-mixture = { $all }, of which a token uses { $used }
use-chat = chat
use-tools = tools
use-code = code
use-reasoning = reasoning
use-search = search

## What a model needs here

facts-memory = Memory
facts-speed = Speed
facts-kind = Kind
facts-kind-is = { $architecture }, { $quantization }, { $weights }, trained for { $tokens } tokens
facts-licence = Licence
facts-address = Address
facts-reading = Reading the header of its file…
facts-at-least = At least the { $amount } of its file.
facts-unread = The header of the file could not be read:
facts-loaded = { $loaded } when it is loaded.
facts-loaded-and-chat = { $loaded } when it is loaded, and { $chat } more for a chat of { $tokens } tokens.
facts-fits-gpu = This device’s GPU takes it, if so much memory is free: browsers do not tell.
facts-fits-cpu = This browser offers no GPU; the CPU engine takes it, if so much memory is free: browsers do not tell.
facts-will-not-fit = It will not fit on this device.
facts-what-would = What would:
obstacle-memory = It will not fit: this device has about { $memory } of memory.
obstacle-gpu = It needs a GPU: the CPU engine has room for { $room } at most.
obstacle-room = It will not be kept: the browser has room for { $room } more.
speed-unknown = Can be told after a first answer on this device.
speed-published = Roughly { $least } to { $most } tokens/s, by the published figures of this kind of GPU ({ $family }).
speed-expected = Roughly { $speed } tokens/s: { $name } gave { $measured } on this device.

## What is stored

stored-title = On this device
stored-part = { $amount }, not yet whole
stored-part-label = Downloaded part of { $name }
stored-last-used = Last used { DATETIME($date, dateStyle: "medium") }.
stored-export = Export to a file
stored-and-chats = { $amount }, and { $chats } of chats
stored-chats = { $amount } of chats that it has read: they go on without being read again.
stored-forget = Forget them
    .label = Forget the chats that { $name } has read
stored-forgotten = What { $name } has read of chats is forgotten. The chats are still there.
stored-usage = Models take { $stored } of the { $quota } that this page may use.
stored-usage-chats = Models, and what they have read of chats, take { $stored } of the { $quota } that this page may use.
stored-others = The page itself and others of its site take { $amount }.
stored-persisted = They stay until you delete them.
stored-not-persisted = The browser may delete them when space is short.
stored-meter = Used storage
stored-persist = Ask the browser to keep them
stored-will-persist = The browser will keep the models.
stored-refused-short = The browser did not agree to keep the models.
stored-refused = The browser did not agree. Some agree once a page is installed or used often.
stored-deleted = { $name } is deleted.
stored-not-deleted = { $name } could not be deleted.
stored-exporting = Exporting { $name }: { $amount }
stored-exported = { $name } is exported.
stored-not-exported = { $name } could not be exported. { $error }
stored-importing = Importing { $name }, { $amount }…
stored-import-part = Stored part of the file
stored-imported = { $name } is stored in this browser.
stored-not-imported = { $name } could not be imported. { $error }

## Loading

loading-start = Starting the engine
loading-prepare = Preparing: a first run of the model
loading-read = Reading the model from this device
loading-download = Downloading the model
loading-keeps = What has arrived is kept in this browser: Pause now, and Resume goes on from there.
loading-pause = Pause
loading-from-store = { $amount } from this device
loading-rate = { $amount }/s
loading-almost = almost there
loading-seconds = { $seconds } s left
loading-minutes = { $minutes } min left
