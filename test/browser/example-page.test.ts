/** The example's page and its Swagger UI in Chromium, which is started once, as is the server. */
import './page.js'
import './page-renewal.js'
import './swagger.js'
