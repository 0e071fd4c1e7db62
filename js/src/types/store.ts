/** The models that the browser keeps. */

/** A model in the store. */
export interface StoredModel {
  /**
   * What `load` and `models.delete` take: its address, or `hf:…` where it came from the default
   * hub.
   */
  readonly source: string;
  /** In bytes; null while the server did not tell. */
  readonly size: number | null;
  readonly storedBytes: number;
  readonly complete: boolean;
  readonly lastUsed: Date;
  /** Of the whole file, where it was checked. */
  readonly sha256: string | null;
}

export interface StoreUsage {
  /** Bytes of all stored models; what they share counts once. */
  readonly stored: number;
  /** Bytes that the page's origin uses, with everything else that it stores. */
  readonly used: number | null;
  /** Bytes that the origin may use. */
  readonly quota: number | null;
  /** Whether the browser promised to keep it even when space gets scarce. */
  readonly persisted: boolean;
}

/** The models that the browser keeps. A file of a split model, or of a folder, is one of its own. */
export interface Models {
  list(): Promise<StoredModel[]>;
  /**
   * Whether it was there; of a folder, all of its files go. What other models share stays. Where a
   * tab downloads it, that load goes on without storing. `hub`: the one that it was loaded with.
   */
  delete(source: string | URL, options?: { hub?: string }): Promise<boolean>;
  usage(): Promise<StoreUsage>;
  /** Asks the browser to keep the store; whether it does. */
  persist(): Promise<boolean>;
  /** The file, every chunk of it checked. Errors: `NOT_STORED` where it is not complete, or a chunk is damaged. */
  export(source: string | URL, options?: { hub?: string }): Promise<ReadableStream<Uint8Array>>;
  /**
   * Stores a file as if it had been loaded from `as`. One that is stored already stays until the
   * new one is whole. Errors: `QUOTA_EXCEEDED`; `INVALID_FILE` for what does not begin like a file
   * of a model.
   */
  import(file: Blob | ReadableStream<Uint8Array>, options: { as: string | URL; hub?: string }): Promise<StoredModel>;
}
