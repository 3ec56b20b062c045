"""The engine on a GPU: whether its ends are right, how quick it is, what of the device it uses and where its time goes."""
