/** Models in the browser's storage. */

/** A stored model. */
export interface StoredModel {
  /** For `load` and `models.delete`: its URL, or `hf:…` if it came from the default hub. */
  readonly source: string;
  /** Size of the file in bytes; null if the server did not tell. */
  readonly size: number | null;
  readonly storedBytes: number;
  /** Whether the whole file is stored. */
  readonly complete: boolean;
  readonly lastUsed: Date;
  /** SHA-256 of the file, if it was checked. */
  readonly sha256: string | null;
  /** Only for a prompt that is remembered: its tokens. `source` then begins with the model's. */
  readonly promptTokens?: number;
}

/** Bytes that storage takes. */
export interface StoreUsage {
  /** All stored models; parts that several share count once. */
  readonly stored: number;
  /** All storage of the page's origin. */
  readonly used: number | null;
  /** What the browser allows the origin. */
  readonly quota: number | null;
  /** Whether the browser has promised to keep the storage even when space runs low. */
  readonly persisted: boolean;
}

/**
 * The models in the browser's storage. Each file of a split model or of a folder counts as one
 * model of its own.
 */
export interface Models {
  list(): Promise<StoredModel[]>;
  /**
   * Deletes a model, or all files of a folder, with the prompts that are remembered of it; or one
   * such prompt. Parts that other models share stay. Returns whether there was one. If another tab
   * is downloading it, that load goes on without storing. `hub`: as it was loaded.
   */
  delete(source: string | URL, options?: { hub?: string }): Promise<boolean>;
  usage(): Promise<StoreUsage>;
  /** Asks the browser to keep the storage; returns whether it will. */
  persist(): Promise<boolean>;
  /**
   * Reads a stored file and checks every part of it. Errors: `NOT_STORED` if it is incomplete or
   * damaged.
   */
  export(source: string | URL, options?: { hub?: string }): Promise<ReadableStream<Uint8Array>>;
  /**
   * Stores a file as if it had been loaded from `as`. A stored file with that address is replaced
   * when the new one is complete. Errors: `QUOTA_EXCEEDED`; `INVALID_FILE` if it does not start
   * like a model file.
   */
  import(file: Blob | ReadableStream<Uint8Array>, options: ImportOptions): Promise<StoredModel>;
}

/** How {@link Models.import} stores a file. */
export interface ImportOptions {
  /** The address that a load of it will have. */
  as: string | URL;
  /** As for a load. */
  hub?: string;
  /** Called with the bytes that are stored so far, once a mebibyte and at the end. */
  onProgress?: (storedBytes: number) => void;
}
