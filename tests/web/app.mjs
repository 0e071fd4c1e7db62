// What an app's page has in these tests: the installed package, and a few helpers, as globals.

/** `weft`: the package. `collect(pieces)`: a whole generation. `failure(work)`: what an error says, or null. */
export function prepareApp(page) {
  return page.evaluate(async () => {
    globalThis.weft = await import('/node_modules/weft-llm/dist/index.js');
    globalThis.collect = async (pieces) => {
      const answer = { text: '', ids: [], pieces: 0 };
      for await (const piece of pieces) {
        answer.text += piece.text;
        answer.pieces += 1;
        if (piece.finish) Object.assign(answer, piece.finish);
        else answer.ids.push(piece.id);
      }
      return answer;
    };
    globalThis.failure = (work) =>
      work().then(
        () => null,
        ({ name, code, message }) => ({ name, code, message }),
      );
  });
}

/** The page itself, for a server's `handle`. */
export const APP = '<!doctype html><html lang="en"><title>test</title><link rel="icon" href="data:," /></html>';
