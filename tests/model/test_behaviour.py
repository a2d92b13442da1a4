"""What a reader of the guideline would expect of the shipped model, in pairs that differ in one thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from policytag.tagger import Tagger
from policytag.text import Paragraph

PAIRS = [
    # label, text that has it, text that looks like it and has it not
    ("subsidy", "对认定的企业给予最高50万元一次性奖励。", "全年一般公共预算收入增长6.5%。"),
    ("subsidy", "对小微企业房屋租金减免三个月。", "对先进集体予以通报表扬。"),
    ("subsidy", "安排专项资金支持企业技术改造。", "财政收入质量进一步提高。"),
    ("subsidy", "对首次上规模的工业企业按规定给予补贴。", "按时足额发放养老金和低保金。"),
    ("talent", "加大高层次人才引进力度,建设人才公寓。", "始终坚持以人民为中心的发展思想。"),
    ("talent", "新建博士后科研工作站3家。", "常住人口达到120万人。"),
    ("talent", "大规模开展职业技能培训,培养高技能人才。", "加强机关干部作风建设。"),
    ("platform", "建设生物医药公共技术服务平台。", "平台企业要依法合规经营。"),
    ("platform", "支持企业建设孵化器和众创空间。", "会议地点设在某某科技园会议室。"),
    ("platform", "新增市级企业技术中心5家、重点实验室2家。", "为代表委员搭建交流的平台。"),
    ("approval_reform", "深化“一网通办”改革,推行告知承诺制。", "严厉打击各类违法犯罪行为。"),
    ("approval_reform", "推进“证照分离”改革,压减审批时限。", "本办法自发布之日起施行。"),
    ("approval_reform", "实行首席代办制,实现拿地即开工。", "领导班子走访慰问企业员工。"),
    ("finance", "设立10亿元产业引导基金。", "加强基础教育,新建学校三所。"),
    ("finance", "推动银行扩大知识产权质押贷款规模。", "完成水利工程建设任务。"),
    ("finance", "支持企业上市挂牌,对接多层次资本市场。", "市民中心广场挂牌开放。"),
    ("investment_promotion", "开展招商推介活动,签约项目30个。", "项目主体结构已经封顶。"),
    ("investment_promotion", "大力引进总部企业和外资项目。", "加强与兄弟部门的沟通。"),
    ("information_technology", "加快发展人工智能和集成电路产业。", "各单位要加强信息公开工作。"),
    ("biomedicine", "推动创新药和医疗器械研发。", "做好医院疫情防控工作。"),
    ("equipment", "工业机器人产量增长20%。", "推动制造业高质量发展。"),
    ("materials", "发展石墨烯等新材料产业。", "认真准备会议材料。"),
    ("automotive", "新能源汽车产量突破100万辆。", "规范机关公务用车管理。"),
    ("energy_environment", "推进海上风电和光伏项目建设。", "加强河道保洁,改善村容村貌。"),
    ("financial_services", "本外币存款余额增长8%,保险业稳步发展。", "加强学生管理,做好校园安全。"),
    ("commerce_logistics", "社会消费品零售总额增长7%。", "完善城市道路网络。"),
    ("culture_tourism", "接待游客500万人次,旅游收入增长15%。", "加强学校思想政治工作。"),
    ("professional_services", "发展检验检测认证和知识产权服务业。", "提高政府服务群众的水平。"),
    ("agriculture", "粮食总产量达到50万吨,发展设施农业。", "完善农村公路养护管理。"),
    ("construction_real_estate", "建筑业总产值增长10%,发展装配式建筑。", "加强精神文明建设。"),
]
MIN_PASS_SHARE = 0.9


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(Path("models/current"))


def tags(tagger: Tagger, *texts: str) -> list[set[str]]:
    predictions = tagger.tag([Paragraph(str(i), "d", i, text) for i, text in enumerate(texts)])
    return [{score.label_id for score in p.scores if score.assigned} for p in predictions]


def probability(tagger: Tagger, label: str, text: str) -> float:
    [prediction] = tagger.tag([Paragraph("0", "d", 0, text)])
    return prediction.scores[tagger.taxonomy.column(label)].probability


def test_minimal_pairs_are_told_apart(tagger: Tagger) -> None:
    wrong = []
    for label, positive, negative in PAIRS:
        with_label, without = tags(tagger, positive, negative)
        if label not in with_label:
            wrong.append(f"{label} missed: {positive}")
        if label in without:
            wrong.append(f"{label} wrongly: {negative}")
    assert len(wrong) <= (1 - MIN_PASS_SHARE) * 2 * len(PAIRS), "\n".join(wrong)


@pytest.mark.parametrize("text", ["二〇二三年五月六日", "第六章 附 则", "联系电话:12345678", "特此通知。"])
def test_boilerplate_gets_no_tag(tagger: Tagger, text: str) -> None:
    assert tags(tagger, text) == [set()]


@pytest.mark.parametrize("change", [("上海", "成都"), ("50万元", "80万元"), ("2023年", "2019年")])
def test_places_amounts_and_years_do_not_change_the_tags(tagger: Tagger, change: tuple[str, str]) -> None:
    text = "2023年,上海对新认定的生物医药企业技术中心给予最高50万元奖励,引进领军人才。"
    one, other = tags(tagger, text, text.replace(*change))
    assert one == other
    assert {"subsidy", "biomedicine"} <= one


def test_width_and_blanks_do_not_change_the_scores(tagger: Tagger) -> None:
    plain = "对AI企业给予补贴,支持人才培养。"
    for other in ("对ＡＩ企业给予补贴，支持人才培养。", "对AI企业 给予\n补贴,支持　人才培养。"):
        assert probability(tagger, "subsidy", other) == pytest.approx(probability(tagger, "subsidy", plain), abs=1e-4)


@pytest.mark.parametrize(
    ("label", "text", "more"),
    [
        ("subsidy", "支持企业技术改造。", "对项目给予最高100万元补助。"),
        ("talent", "支持企业发展。", "引进领军人才,建设人才公寓。"),
        ("finance", "支持企业发展。", "设立产业基金,提供贷款担保。"),
        ("agriculture", "支持企业发展。", "做强种业和农产品加工业。"),
    ],
)
def test_evidence_that_is_added_raises_the_probability(tagger: Tagger, label: str, text: str, more: str) -> None:
    assert probability(tagger, label, text + more) > probability(tagger, label, text)
