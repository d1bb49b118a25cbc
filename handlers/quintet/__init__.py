"""The five-model chain that reads pages. It knows PyTorch and no server."""
