export { storeContract, type ContractCase, type MakeStore } from './store-contract.js'
