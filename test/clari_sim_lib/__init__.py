"""A simulated Clari export API; the command test/clari_sim documents it."""
