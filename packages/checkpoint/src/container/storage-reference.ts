import { CheckpointError } from '../errors.js';
import { PyGlobal, type PyReference } from '../pickle/values.js';
import { elementTypeOf, type ElementType } from './element-types.js';

/** What a tensor says about its storage. */
export interface StorageReference {
  /** Key of the storage. */
  readonly key: string;
  /** Element type, or `undefined` for a class that is not known here. */
  readonly type: ElementType | undefined;
  /** Name of the class, for messages. */
  readonly className: string;
  /** Number of elements of the whole storage. */
  readonly elementCount: number;
  /** Elements of the storage before the first one of this view of it (legacy format only). */
  readonly viewOffset: number;
}

/**
 * Reads the tuple by which torch names a storage: `('storage', class, key, device, element count)`, in the legacy format
 * followed by nothing or `(view key, offset, size)`.
 *
 * @throws {@link CheckpointError} `CHECKPOINT_STORAGE`
 */
export function storageReference(path: string, reference: PyReference): StorageReference {
  const { id } = reference;
  if (Array.isArray(id) && id[0] === 'storage') {
    const [, type, key, , elementCount, view] = id;
    const viewOffset = Array.isArray(view) ? view[1] : 0;
    if (
      type instanceof PyGlobal &&
      (typeof key === 'string' || typeof key === 'number') &&
      isCount(elementCount) &&
      isCount(viewOffset)
    ) {
      return {
        key: String(key),
        type: elementTypeOf(type.path),
        className: type.path,
        elementCount,
        viewOffset,
      };
    }
  }
  throw new CheckpointError('CHECKPOINT_STORAGE', `${path}: a storage is named in a way that is not known`, {
    hint: 'The file is damaged, or was not written by torch.save.',
    details: { path },
  });
}

/** Whether a value is a whole number that can count things in a file. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
