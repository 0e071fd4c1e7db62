### The frame of the page and the chat. What stands in quotation marks in `{ }` is written as it is.

title = weft: a language model inside this page
skip = Skip to the prompt
drop = Drop a GGUF file or a folder to load it, or a picture to ask about
latest = Latest
examples = Examples

## Buttons and words of many places

done = Done
cancel = Cancel
close = Close
save = Save
send = Send
stop = Stop
stopping = Stopping.
copy = Copy
copied = Copied
copy-refused = Not allowed
answer-image = [image: { $description }]
code-copy = Copy the code
load = Load
load-it = Load it
resume = Resume
delete = Delete
delete-one = Delete { $name }
remove = Remove
undo = Undo
search = Search
none = none
model = Model
engine = Engine
context = Context
storage = Storage
choose-model = Choose a model
no-model-loaded = No model is loaded.
a-file = a file
view-source = View source
amount-of = { $amount } of { $total }
seconds = { NUMBER($seconds, minimumFractionDigits: 2, maximumFractionDigits: 2) } s
weights-millions = { NUMBER($count, maximumFractionDigits: 0) } million weights
weights-billions = { NUMBER($count, minimumFractionDigits: 1, maximumFractionDigits: 1) } billion weights

## The head

nav = Page
nav-model = Model
nav-chat = Chat
nav-tasks = Tasks
nav-compare = Compare
nav-chats = Chats
nav-new-chat = New chat
nav-menu = Menu
nav-inspector = Inspector
nav-settings = Settings
back-chat = ← Back to the chat
back-compare = ← Back to the comparison
back-inspector = ← Back to the inspector
back-tasks = ← Back to the tasks

## The chat

conversation = Conversation
chat-ready = The model is here. Ask it something.
chat-no-model = No model is loaded yet.
chat-tasks = Or a task: summarise, translate, fill in a form, ask a PDF…
chat-compare = Or compare two models, or two settings
chat-empty = Empty
chat-deleted-elsewhere = This chat was deleted in another tab.
branch-of = Branch of { $title }
branch-made = The branch is a chat of its own.
answer-stopped = The answer was stopped.
answer-complete = The answer is complete.

composer-label = Your message
composer-placeholder = Ask anything
composer-hint = Enter sends, Shift and Enter starts a new line, Escape stops an answer, or leaves the field.
composer-hint-touch = Enter starts a new line, the button Send sends.

picture-add = Add a picture
picture-added = Picture { $number } added.
picture-remove = Remove picture { $number }
picture-blind = This model does not read pictures. One that does needs a projector: choose its file (mmproj) together with the model's.
picture-unread = This browser cannot read that picture.
pictures = Pictures
picture = Picture { $number }

turn-you = You
turn-question = Question
turn-answer = Answer
turn-no-answer = No answer.
turn-copy = Copy the answer
turn-look = Look inside
turn-go-on = Go on
turn-more = More
turn-regenerate = Regenerate
    .title = Another answer; if the temperature is 0, it is sampled at { $temperature }
turn-edit = Edit
    .label = Edit the question
turn-edited = The question
turn-versions = Versions of this turn
turn-version = Version
turn-previous = Previous version
turn-next = Next version
turn-branch = New chat from here
    .title = A new chat with the turns up to this one
turn-compare = Compare
    .title = Answers to this question by two models, or with two settings
turn-delete = Delete
    .title = Deletes this question and its answer
turn-deleted = The turn is deleted.

## Under an answer

stats-interrupted = interrupted
stats-abort = stopped
stats-length = cut at the longest answer
stats-full = the context is full
stats-rate = { NUMBER($rate, minimumFractionDigits: 1, maximumFractionDigits: 1) } tokens/s
stats-first = first after { NUMBER($seconds, minimumFractionDigits: 2, maximumFractionDigits: 2) } s
stats-tokens =
    { $tokens ->
        [one] { $tokens } token
       *[other] { $tokens } tokens
    }
stats-steps = { NUMBER($rate, minimumFractionDigits: 1, maximumFractionDigits: 1) } a step
stats-prompt = prompt { $tokens }
stats-prompt-cached = prompt: { $cached } of { $tokens } remembered

## The line under the composer

engine-details = The model and its engine
engine-model = { $name }, { $quantization }, { $weights }
engine-on = on the { $kind } ({ $description }) · { $memory }
engine-reason = Why this engine
context-used = { $tokens } of { $of } tokens
context-meter = Context used
context-was-full = The context was full: the model no longer sees the oldest messages.
context-nearly-full = The context is nearly full. The model will soon forget the oldest messages.

## The chats

chats-none = There are no chats yet.
chats-not-found = No chat has these words.
chats-kept = Chats are kept in this browser, and nowhere else.
chats-changed = { DATETIME($date, dateStyle: "medium", timeStyle: "short") }
chats-name = Name of the chat
chats-rename = Rename
    .label = Rename { $title }
chats-export = Export
    .label = Export { $title }
chats-markdown = As Markdown
chats-json = As JSON, with all versions
chats-export-all = Export all
chats-import = Import…
chats-deleted = { $title } is deleted.
chats-undo = Undo: keep { $title }
chats-deleted-undo = The chat is deleted. Undo brings it back.
chats-imported =
    { $count ->
        [one] { $count } chat was imported.
       *[other] { $count } chats were imported.
    }
chats-were-here =
    { $count ->
        [one] { $count } was here already.
       *[other] { $count } were here already.
    }
import-no-chats = This file has no chats of weft: choose one that Export wrote.
import-damaged = This file is damaged: { $error }.

## The settings

settings-title = Settings
settings-of-new-chats = These are for new chats. Each chat has its own.
settings-of-chat = The system prompt, sampling and length are of this chat alone.
settings-are-usual = New chats begin with these
settings-make-usual = Begin new chats with these too
settings-made-usual = New chats begin with these settings.
settings-sampling = Sampling
settings-length = Length
settings-speed = Speed
settings-loading = Loading
settings-need-reload = These two take effect when the model is loaded again.
settings-reload = Load it again
settings-reset = Reset all settings
settings-page = This page
settings-language = Language
settings-language-failed = This language did not arrive. Reload the page and choose it again.

setting-systemPrompt = System prompt
    .hint = Comes before the conversation. Empty: the model’s own.
setting-temperature = Temperature
    .hint = 0 always takes the most likely token, which suits small models; higher is more varied.
setting-topK = Top k
    .hint = Keeps the k most likely tokens; 0 keeps all.
setting-topP = Top p
    .hint = Keeps the most likely tokens whose probabilities add up to p; 1 keeps all.
setting-minP = Min p
    .hint = Drops tokens less likely than this fraction of the best; 0 keeps all.
setting-repetitionPenalty = Repetition penalty
    .hint = Makes recent tokens less likely; 1 changes nothing.
setting-frequencyPenalty = Frequency penalty
    .hint = Lowers a token for each recent use; 0 changes nothing.
setting-presencePenalty = Presence penalty
    .hint = Lowers a token that was used recently; 0 changes nothing.
setting-seed = Seed
    .hint = The same seed and conversation give the same answer.
    .placeholder = random
setting-maxTokens = Longest answer, in tokens
    .short = Longest answer
    .placeholder = until the context is full
setting-stop = Stop strings
    .hint = One per line. The answer ends before any of them.
setting-speculate = Drafts
    .hint = Guesses what repeats, several tokens a step. The answer stays the same.
setting-speculate-lookup = From repeated text
setting-speculate-off = None
setting-device = Device
setting-device-auto = Automatic
setting-device-gpu = GPU (WebGPU)
setting-device-cpu = CPU (WebAssembly)
setting-contextLength = Context length, in tokens
    .short = Context length
    .hint = Conversation and answer together; longer takes more memory.
    .placeholder = automatic, at most 2048

## Keyboard shortcuts

shortcuts-title = Keyboard shortcuts
shortcuts-writing = While the question is written
shortcuts-reading = While nothing is typed
shortcuts-on = Single keys are shortcuts
shortcut-send = Send what was written
shortcut-new-line = Begin a new line
shortcut-stop = Stop the answer; without one, leave the field
shortcut-new-chat = Begin a new chat
shortcut-prompt = Write a question
shortcut-edit = Edit the last question
shortcut-regenerate = Answer the last question again
shortcut-copy = Copy the last answer
shortcut-previous = Previous version of a turn
shortcut-next = Next version of a turn
shortcut-chats = Open the chats
shortcut-settings = Open the settings
shortcut-model = Choose a model
shortcut-compare = Compare two models, or two settings
shortcut-help = Show these shortcuts
