/**
 * The settings dialog. The form in `index.html` is the schema: an element's name is the option, its attributes the range
 * and the default. What a browser stored is put back only where the form still finds it valid.
 */
import type { Device, GenerateOptions } from 'weft-llm';
import { byId, within } from './dom';

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

const storageKey = 'weft-settings';

export class Settings {
  readonly #dialog = byId('settings', HTMLDialogElement);
  readonly #form = byId('settings-form', HTMLFormElement);
  readonly #reloadHint = byId('reload-hint', HTMLElement);
  /** Device and context length as the model was loaded; undefined while none is. */
  #loadedWith: string | undefined;

  /** `reload`: the user wants the model again, with the device and context length as they are now. */
  constructor(reload: () => void) {
    this.#restore();
    this.#form.addEventListener('input', () => this.#changed());
    byId('open-settings', HTMLButtonElement).addEventListener('click', () => this.open());
    byId('reset-settings', HTMLButtonElement).addEventListener('click', () => {
      this.#form.reset();
      this.#changed();
    });
    byId('reload', HTMLButtonElement).addEventListener('click', () => {
      this.#dialog.close();
      reload();
    });
    // A click on the backdrop is a click on the dialog itself.
    this.#dialog.addEventListener('click', (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  open(): void {
    this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }

  get systemPrompt(): string {
    return this.#text('systemPrompt').trim();
  }

  get generateOptions(): GenerateOptions {
    const options: GenerateOptions = { stop: this.#text('stop').split('\n').filter(Boolean) };
    for (const name of samplingNames) {
      const value = this.#number(name);
      if (value !== undefined) options[name] = value;
    }
    return options;
  }

  get loadOptions(): { device: Device; contextLength?: number } {
    const device = this.#text('device') as Device;
    const contextLength = this.#number('contextLength');
    return contextLength === undefined ? { device } : { device, contextLength };
  }

  setDevice(device: Device): void {
    this.#field('device').value = device;
    this.#changed();
  }

  /** Remembers what the model is loaded with, to offer loading it again when that changes. */
  markLoaded(loaded: boolean): void {
    this.#loadedWith = loaded ? JSON.stringify(this.loadOptions) : undefined;
    this.#changed();
  }

  #fields(): Field[] {
    return [...this.#form.elements].filter((element): element is Field => 'name' in element && element.name !== '');
  }

  #field(name: string): Field {
    return within(this.#form, `[name=${name}]`, HTMLElement) as Field;
  }

  #text(name: string): string {
    return this.#field(name).value;
  }

  /** The number in a field; undefined where it is empty or not valid, so that the default holds. */
  #number(name: string): number | undefined {
    const field = this.#field(name);
    return field.value === '' || !field.validity.valid ? undefined : Number(field.value);
  }

  #changed(): void {
    for (const range of this.#form.querySelectorAll<HTMLInputElement>('input[type=range]')) {
      const shown = range.parentElement?.querySelector('.value');
      if (shown) shown.textContent = range.value;
    }
    const loadedWith = this.#loadedWith;
    this.#reloadHint.hidden = loadedWith === undefined || loadedWith === JSON.stringify(this.loadOptions);
    const values = Object.fromEntries(this.#fields().map(({ name, value }) => [name, value]));
    try {
      localStorage.setItem(storageKey, JSON.stringify(values));
    } catch {
      // Storage is full or forbidden: the settings then last as long as the page.
    }
  }

  #restore(): void {
    try {
      const stored: unknown = JSON.parse(localStorage.getItem(storageKey) ?? '{}');
      const values = new Map(Object.entries(stored ?? {}));
      for (const field of this.#fields()) {
        const value = values.get(field.name);
        if (typeof value !== 'string') continue;
        const before = field.value;
        field.value = value;
        if (field.value === '' && value !== '') field.value = before;
        if (!field.checkValidity()) field.value = before;
      }
    } catch {
      // Nothing readable is stored: the defaults stand.
    }
    this.#changed();
  }
}

const samplingNames = [
  'temperature',
  'topK',
  'topP',
  'minP',
  'repetitionPenalty',
  'frequencyPenalty',
  'presencePenalty',
  'seed',
  'maxTokens',
] as const satisfies readonly (keyof GenerateOptions)[];
