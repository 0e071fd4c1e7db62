### The tasks: their cards, forms and results.

tasks-lead = What a model can do in this page. Each is a few lines of code, which it shows.
tasks-write = Write
tasks-read = Read and sort
tasks-find = Find

task-chat = A question, and somebody who answers it.
    .title = Chat
task-summarise = A long text in few sentences.
    .title = Summarise
task-translate = A text from one language into another.
    .title = Translate
task-rewrite = The same message in another tone.
    .title = Rewrite
task-code = Code from a description.
    .title = Write code
task-fill = What belongs between two pieces of code.
    .title = Fill a gap in code
task-maths = A problem in words, with the way to its solution.
    .title = Solve step by step
task-classify = Which of your labels fits a text.
    .title = Classify
task-sentiment = Whether a text is positive or negative.
    .title = Sentiment
task-entailment = Whether one sentence follows from another, contradicts it, or neither.
    .title = Entailment
task-extract = Facts from a text, in the fields that you choose.
    .title = Fill in a form
task-documents = Questions about PDF files and texts, answered with citations.
    .title = Ask your files
task-search = Passages of your files that mean what you look for, whatever their words.
    .title = Search by meaning
task-compare = How similar two texts are in meaning.
    .title = Compare texts

need-chat = needs a model that chats
need-infill = needs a coder model
need-own-labels = needs a model that writes text
need-labels = needs a model that writes text, or a classifier
need-embed = needs an embedding model

lacks-chat = This model has no chat template: it continues texts, and was not trained to follow instructions. Load one whose name says Instruct, Chat or it.
lacks-chat-encoder = This model is an encoder: it reads text and writes none. Load a decoder that chats.
lacks-infill = This model has no tokens for filling a gap. Coder models have them: Qwen2.5-Coder, StarCoder, CodeGemma, Granite.
lacks-own-labels = This model is an encoder with labels of its own: { $labels }. Labels of yours need a decoder.
lacks-any-labels = This model is an encoder, which cannot be given labels. Load a decoder.
lacks-labels = This model is an encoder without a classifier. Load a decoder, or an encoder that was trained for this task.
lacks-embed = This model gives no vectors. Load an embedding model: an encoder such as MiniLM, bge or e5, or Qwen3-Embedding.

## A card

task-back = ← All tasks
task-run = Run
task-ask = Ask
task-needs-embedder = Load an embedding model first.
task-result = Result
task-result-stopped = Result, stopped
task-stopped = Stopped.
task-complete = The result is complete.
task-copy = Copy the result
task-thoughts = What the model thought
task-similarity = similarity
task-similarity-hint = The cosine of the two vectors: 1 for the same text. What counts as similar differs from model to model.
labels-two = Name two labels or more.
yes = yes
no = no

## The fields of the forms

field-role = Who answers
    .hint = The system message. Empty: the model as it is.
field-question = Question
field-looked-for = What to look for
field-text = Text
field-length = Length
field-from = From
field-to = Into
field-tone = Tone
field-what = What it should do
field-language = Language
field-before = Before the gap
field-after = Behind the gap
field-problem = Problem
field-labels = Labels
    .hint = At least two, with commas between them.
field-premise = Premise
field-hypothesis = Hypothesis
field-first = First text
field-second = Second text

length-sentence = one sentence
length-sentences = three sentences
length-paragraph = a paragraph
length-points = five bullet points
tone-formal = polite and formal
tone-friendly = friendly
tone-plain = short and plain
tone-enthusiastic = enthusiastic
tone-child = easy to read for a child

## Examples for the model

rows-title = Examples ({ $count })
rows-hint = They go into the prompt before the text, and show the model what is wanted.
rows-add = Add an example
rows-input = Input { $number }
rows-output = Output { $number }
rows-choose = Choose a label
rows-remove = Remove example { $number }
rows-keep = Keep as an example
rows-kept = Kept as an example.

## A form that is filled in

extract-run = Fill in the form
extract-no-field = Add a field first.
extract-cut = The answer was cut off before the form was full.
extract-not-filled = not filled in
schema = Fields of the form
schema-add = Add a field
schema-name = Name { $number }
schema-type = Type { $number }
schema-choices = Choices { $number }, with commas between them
schema-required = Required
schema-remove = Remove field { $number }
schema-taken = Another field has this name.
type-text = text
type-number = number
type-yes-or-no = yes or no
type-date = date
type-choice = choice
type-list = list

## Files

files = Files
files-hint = Choose PDF files and texts, or drop them here, a folder too. They are read in this page and go nowhere.
files-choose = Choose files…
files-folder = Choose a folder…
files-clear = Remove all
files-example = Use the example
files-first = Choose a file first, or use the example.
files-reading = Reading { $name }…
files-were-read =
    { $count ->
        [one] { $count } passage was read.
       *[other] { $count } passages were read.
    }
files-vectors = { $done } of { $all } passages have vectors.
files-by-words = Without an embedding model, this is a search for words: passages are found by the words that they share with the question, not by what they mean.
files-read = What the model read
files-found-by-words = Found by their words.
files-no-passage = No passage has a word of the question.
files-passage = Passage { $number }
files-page = { $file }, page { $page }
files-nothing = Nothing was found.
file-passages =
    { $count ->
        [one] { $count } passage
       *[other] { $count } passages
    }
file-passages-note = { $passages }; { $note }
file-has-no-text = has no text: are its pages pictures?
file-cannot-be-read = cannot be read: { $error }
pdf-not-in-copy = this copy of the page does not have it
pdf-no-network = it is fetched when it is first needed, and there is no network
pdf-needs-map = its text needs the character map { $name }: { $why }
pdf-needs-font = letters with accents may be missing; they need the font { $name }: { $why }
file-is-no-text = neither a PDF nor text in UTF-8

## The model that gives vectors

embedder = Embedding model
embedder-own = The loaded model gives the vectors.
embedder-is = { $name } gives the vectors.
embedder-other = Take another one
embedder-none = No model is loaded that gives vectors.
embedder-here = It can be loaded here, beside the other one.
embedder-minilm = { $name }, for English ({ $size })
embedder-stored = { $name }, on this device
embedder-address = From an address…
embedder-address-label = Address of the model
embedder-file = From a file…
embedder-file-label = File of the model
embedder-loaded = The embedding model is loaded.
