"""Long runs into files, resumed after any end."""
