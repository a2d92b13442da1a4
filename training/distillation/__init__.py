"""A large teacher made for one small network: ``policytag-train distil``, for a machine with a GPU.

A transformer too large to serve reads the plain text (masked-language modelling), is fine-tuned on the annotations, and
gives every paragraph of the text a probability for each label. The small network that is to serve reads the same text
and then learns these probabilities. Outside the vocabulary the teacher has 12 times as many weights.

Texts are computed without padding: the tokens of a batch stand one after the other (`batches.Batch`), and only
attention knows where one window ends and the next begins.

| module | what |
|---|---|
| `texts` | token ids of many texts, their windows |
| `batches` | rows of tokens on the device |
| `attention` | attention within windows |
| `teacher`, `student` | the two networks |
| `learning` | the loops: masked tokens, labels, probabilities |
| `operation` | the order of the steps, and their files |
"""
