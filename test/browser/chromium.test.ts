/** All tests in Chromium, which is started once. To run some: tap test/browser/chromium.test.ts --grep=cookie */
import './every-browser.js'
import { runTestsIn } from './support/browsers.js'

runTestsIn('Chromium')
