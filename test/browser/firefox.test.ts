/** All tests in Firefox, which is started once. To run some: tap test/browser/firefox.test.ts --grep=cookie */
import './every-browser.js'
import { runTestsIn } from './support/browsers.js'

runTestsIn('Firefox')
