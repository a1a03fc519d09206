// How many columns of a terminal a text takes, and a text cut to so many. Knows colours (they take none), marks that
// join their letter, and the characters that terminals draw twice as wide: East Asian ones and emoji. Pure.

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours are not to be counted
const styling = /(\u001b\[[0-9;]*m)/g;
const plain = /^[\u0020-\u007e]*$/;
const joining = /^[\p{Mark}\p{Format}\p{Control}]+$/u;
const emoji = /^\p{Emoji_Presentation}|\ufe0f/u;

/** Blocks that Unicode's East Asian Width calls wide or full-width. */
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{20000}-\u{3fffd}]/u;

let segmenter: Intl.Segmenter | undefined;

/** What people see as single characters. */
function graphemes(text: string): string[] {
  if (plain.test(text)) return [...text];
  // Made when it is needed: it takes a tenth of the time of a whole command.
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function graphemeWidth(grapheme: string): number {
  if (plain.test(grapheme)) return 1;
  if (emoji.test(grapheme) || wide.test(grapheme)) return 2;
  return joining.test(grapheme) ? 0 : 1;
}

/** The columns a text takes. */
export function textWidth(text: string): number {
  const bare = text.replace(styling, '');
  if (plain.test(bare)) return bare.length;
  return graphemes(bare).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0);
}

/** The text in at most `columns`, with an ellipsis where something is missing; colours go on and off as they did. */
export function cut(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let room = Math.max(0, columns - 1);
  let full = false;
  const ellipsis = columns > 0 ? '…' : '';
  const parts = text.split(styling).map((part, at) => {
    // Odd parts are the colours: those behind the cut still have to be switched off.
    if (at % 2 === 1) return part;
    if (full) return '';
    let kept = '';
    for (const grapheme of graphemes(part)) {
      const width = graphemeWidth(grapheme);
      if (width > room) {
        full = true;
        return kept + ellipsis;
      }
      kept += grapheme;
      room -= width;
    }
    return kept;
  });
  return parts.join('');
}
