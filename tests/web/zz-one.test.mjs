import { useVisitor } from '../../js/test/support/store.mjs';
import { ChromiumVisitor } from './visitor.mjs';
useVisitor(ChromiumVisitor);
await import('../../js/test/zz-one.mjs');
