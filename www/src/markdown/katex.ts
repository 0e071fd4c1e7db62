/** KaTeX with its styles and fonts, as one part that is fetched when needed. */

import 'katex/dist/katex.min.css';

export { default as katex } from 'katex';
