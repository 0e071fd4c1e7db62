### Two answers side by side.

compare-left = Left
compare-right = Right
compare-no-model = No model
compare-after =
    { $count ->
        [one] After the turn before it in the chat.
       *[other] After the { $count } turns before it in the chat.
    }
compare-question = The question for both
compare-ask = Ask both
compare-in-turn = One after the other, for fair speeds
compare-mark = Mark differences
compare-model = Model on the right
compare-same = The same: { $name }
compare-address = An address, or a model of the shelf…
compare-address-label = Address, or name of a model of the shelf
compare-address-choose = Choose
compare-address-wrong = This is no address that begins with https:// or hf:, and no model of the shelf is called so
compare-file = A file of yours…
compare-loading = Loading the second model
compare-load = Load it too
compare-load-first = Load the second model first.
compare-second-ready = The second model is ready.
compare-stopped = The answers were stopped.
compare-complete = Both answers are complete.
compare-rate = Tokens a second
compare-first = First token
compare-tokens = Tokens
compare-ready = Model ready
compare-unlike = { $setting }: { $value }
second-reading = Reading what it needs…
second-does-not-fit = It does not fit: { $reason }
second-no-memory = There is not enough memory for both models at once. Choose a smaller one.
second-memory = It takes about { $second } of memory, beside { $first } of the first model.
second-tight = That may be more than this device has to spare.
