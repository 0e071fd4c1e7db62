### Tokens and figures, and the newest token of an answer.

quoted = “{ $text }”
percent-less = < { $share }
next-cut = cut by { $stage }
next-less = less
next-figures = { $before } → { $after }
stage-model = model
stage-penalties = penalties
stage-logitBias = biases
stage-constraint = constraint
stage-temperature = temperature
stage-topK = top k
stage-topP = top p
stage-minP = min p

live-title = Look inside while it writes
live-ask = Ask something: each token is shown here when it is drawn.
live-times = Times of the operations too
live-slower = Answers are slower while this is open: the layers of each step are computed one by one.
live-slower-times = Answers are slower while this is open: the layers of each step are computed one by one, and the engine waits after each operation.
live-drawn = { $token } was drawn, with { $share } after the sampler;
live-drawn-alone = { $token } was drawn;
live-remembered =
    { $count ->
        [one] { $count } token is remembered.
       *[other] { $count } tokens are remembered.
    }
live-cut = cut
live-tokens = Tokens that it was drawn from
live-operations = { $time } ms in operations: { $longest }
