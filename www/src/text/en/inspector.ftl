### The inspector.

inspector-title = Inside the model
inspector-back = Back to the chat
inspector-lead = What a language model sees, how it weighs it, and how it comes to its next word.
inspector-no-model = No model is loaded yet. Choose one, and see here how it reads and writes.
inspector-remote = This model runs on a server, which gives its answers and nothing of what happens inside. Load a model into the page to look into it.
inspector-reading = Reading…
inspector-text = A text to look at
inspector-look = Look
inspector-conversation = The conversation up to the answer, with the marks that the model’s chat template puts around each message.
inspector-own-text = Look at a text of your own
inspector-encoder = This model is an encoder: it reads a text at once and writes nothing. So there is no next token to see, nor what each layer would say; its positions, neighbours and costs are not shown either.

## The panels

computing = Computing…
compute = Compute it
source-of-panel = Source of this panel
panel-experts = Some models have several feed-forward networks in a layer, and a router picks a few of these “experts” for each token. So a large model computes only a part of itself at a time.
    .title = Which experts are asked
panel-lens = Each layer adds something to the row of numbers that a token has become, and here the model’s output head reads these rows early. From the first layer to the last one sees guesses turn into the answer; a longer line under a guess means that it is surer.
    .title = What each layer would say
panel-neighbours = To the model a token is a point among thousands of directions, and tokens that are used alike lie in nearly the same one. Take one of the neighbours to go on from there, and choose a token of the text above to come back.
    .title = Tokens that lie near
panel-next = A model does not choose a word: it gives every token of its vocabulary a probability (hollow bars), and the sampler reshapes these before one is drawn (filled bars). Move the sliders to see what each one does, and take any token to go on from there.
    .title = What comes next
panel-norms = A token travels through the layers as a row of numbers, the residual stream, and each layer adds to it: the line is the length of that row. The first token often stands far above the others, since so many heads rest on it.
    .title = How much each layer adds
panel-rotations = Before two tokens are compared, pairs of their numbers are turned like the hands of clocks, further for each position: so the model feels how far apart they are. Fast hands tell neighbours apart, slow ones tell near from far.
    .title = How it knows the order
panel-timing = To read a token the model goes through nearly all of its weights once, so the time is mostly that of fetching bytes. Tokens that it has read before need not be computed again: their keys and values are remembered.
    .title = What it costs
panel-attention = Every token gathers from itself and the tokens before it, in each of many heads: the stronger the mark, the more it takes. Choose a token, then a head, and see where it looks; much goes to the very first token, which serves as a place to rest.
    .encoder = Every token gathers from all tokens of the text, in each of many heads: the stronger the mark, the more it takes. Choose a token, then a head, and see where it looks; much goes to the very first token, which serves as a place to rest.
    .title = Where each token looks

## Figures and tokens

layer = layer
layer-label = Layer
tokens =
    { $count ->
        [one] { $count } token
       *[other] { $count } tokens
    }
share-of = { $token } { $share }
token-at = { $token } ({ $place })

## The text as tokens

tokens-title = The text as tokens
tokens-says = A model reads no letters and no words, but tokens: pieces of text with a number each. Choose one to see its number, its bytes, and how likely the model found it there.
tokens-list = Tokens of the text
tokens-none = There are no tokens.
token-place = { $token }, token { $place } of { $of }
token-id = id { $id }
token-bytes =
    { $count ->
        [0] bytes none
        [one] byte { $bytes }
       *[other] bytes { $bytes }
    }
token-special = special: a mark, no text
token-logprob = log-probability { $logprob }, that is { $share }

## Where each token looks

attention-cost = The text is long, so one layer is computed at a time.
attention-skip = Leave out the first token
attention-tokens = Tokens, marked by how much the chosen one reads of them
attention-nothing = nothing else
attention-detail =
    { $where ->
        [all] { $skips ->
            [yes] On average over all layers, { $token } looks at { $seen }; the first token has { $first }.
           *[no] On average over all layers, { $token } looks at { $seen }.
        }
        [layer] { $skips ->
            [yes] In layer { $layer }, on average over its heads, { $token } looks at { $seen }; the first token has { $first }.
           *[no] In layer { $layer }, on average over its heads, { $token } looks at { $seen }.
        }
       *[head] { $skips ->
            [yes] In layer { $layer }, head { $head }, { $token } looks at { $seen }; the first token has { $first }.
           *[no] In layer { $layer }, head { $head }, { $token } looks at { $seen }.
        }
    }
attention-grid = Layers and heads
attention-heads = Heads of each layer
attention-mean = mean
attention-all = all
attention-cells =
    { $layers ->
        [one] { $layers } layer, { $heads ->
            [one] { $heads } head
           *[other] { $heads } heads
        } each. A cell is filled by how much { $token } takes there of one other token.
       *[other] { $layers } layers, { $heads ->
            [one] { $heads } head
           *[other] { $heads } heads
        } each. A cell is filled by how much { $token } takes there of one other token.
    }
attention-hardest = Past its neighbours it looks hardest in { $head }, at { $token }.
attention-head = layer { $layer }, head { $head }
attention-cell =
    { $where ->
        [all] All layers
        [layer] Layer { $layer }, all heads
       *[head] Layer { $layer }, head { $head }
    }
attention-cell-most = { $cell }: most on { $token }, { $share }

## What comes next

next-sampler = Sampler
next-constraint = Constraint
next-constraint-none = None
next-constraint-choices = Choices, one a line
next-constraint-regex = Regular expression
next-matches = What is written from here on matches
next-is = What is written from here on is
next-no-token = No token fits: the answer ends here.
next-stages = After which stage
next-left = { $count } left
next-likeliest = Take the likeliest
next-draw = Draw one
next-forget = Forget the branches
next-tokens = Tokens that may come next
next-go-on = Go on with { $token }
next-taken = { $token } was taken.
next-taken-at = { $share } when it was taken
next-branches = Branches
next-end = end of the text
    .title = Back to the end of the text

## The other panels

lens-cost = The output head reads { $rows } rows, which may take some seconds.
lens-positions = Positions
lens-last =
    { $count ->
        [one] the last
       *[other] the last { $count }
    }
lens-group = Guesses of the layers
lens-table = Likeliest next token by layer and position
lens-after = after layer
lens-arrow = →
lens-detail = After layer { $layer }, behind { $token }: { $guesses }.
experts-none = This model is no mixture: every token passes through one feed-forward network in each layer.
experts-for = Experts for { $token }:
experts-table = Experts by layer
experts-shares = experts and their shares
chart-table = As a table
    .label = { $chart }, as a table
near-token = A token
near-find = Find
near-of = Near { $token }:
near-list = Nearest tokens
near-go = Neighbours of { $token }
norms-chart = Length of the residual stream after each layer
rotations-none = This model does not rotate: it knows positions in another way, or not at all.
rotations-group = Rotations by pair and position
rotations-layers = Layers { $layers }:
rotations-caption =
    { $pairs ->
        [one] { $pairs } pair of numbers in each head; { $shown } of them at the first { $positions ->
            [one] { $positions } position
           *[other] { $positions } positions
        }
       *[other] { $pairs } pairs of numbers in each head; { $shown } of them at the first { $positions ->
            [one] { $positions } position
           *[other] { $positions } positions
        }
    }
rotations-pair = pair
rotations-turn = a full turn takes
rotations-positions = at each position
rotations-no-turn = no turn
rotations-dials = Pair { $pair }, a turn takes { $takes }
timing-cost = The engine waits after each operation, so this is slower than usual.
timing-remembered =
    { $tokens ->
        [one] { $cached } of { $tokens } token remembered; the times are those of reading all.
       *[other] { $cached } of { $tokens } tokens { $cached ->
            [one] is
           *[other] are
        } remembered; the times are those of reading all.
    }
timing-table = Operations by time
timing-operation = operation
timing-times = times
timing-bytes = bytes
timing-milliseconds = milliseconds
timing-chart = Milliseconds of each operation in each layer
