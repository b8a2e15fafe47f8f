/** The example's page and its Swagger UI in Chromium. Browser and server are started once. */
import './page.js'
import './page-renewal.js'
import './swagger.js'
