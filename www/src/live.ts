/** What is seen of an answer's steps while it is written: nothing, unless somebody looks. */

import type { Inspection, StepInspectOptions } from 'weft-llm';

/** A token that was drawn, and what the step saw that it was drawn from. */
export interface Step {
  readonly id: number;
  readonly text: string;
  readonly inspection: Inspection;
}

/** Reports each step with the event `change`. */
class Live extends EventTarget {
  /** What is asked of each step of the next answer. */
  wanted: StepInspectOptions | null = null;
  step: Step | null = null;

  see(step: Step | null): void {
    this.step = step;
    this.dispatchEvent(new Event('change'));
  }
}

export const live = new Live();
